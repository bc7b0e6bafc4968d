;; rope_backward_w2: Gradients of rope by x0, x1.
;;
;; formula:  d_x0 = sin * d_y1 + cos * d_y0; d_x1 = cos * d_y1 - sin * d_y0
;; source:   gradient of Su et al., arXiv:2104.09864; layout half as in Llama, interleaved as in DeepSeek
;; operands: cos    f32 rows of 2, 16 values apart
;;           sin    f32 rows of 2, 16 values apart
;;           d_y    f32 rows of 4, 16 values apart
;;           d_x    f32 rows of 4, 16 values apart
;;           count  i32, rows of this run
;; tile:     512 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[0..2].attention.kv_down dgrad (model.attention.rope)
;;           mtp[0].attention.kv_down dgrad (model.attention.rope)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "rope_backward_w2") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $cos.base i32)
    (local $sin.base i32)
    (local $d_y.base i32)
    (local $d_x.base i32)
    (local $cos.at i32)
    (local $sin.at i32)
    (local $d_y0.at i32)
    (local $d_y1.at i32)
    (local $d_x0.at i32)
    (local $d_x1.at i32)
    (local $sin v128)
    (local $d_y1 v128)
    (local $cos v128)
    (local $d_y0 v128)
    (local $stored. v128)
    (local.set $cos.base (i32.load offset=0 (local.get $table)))
    (local.set $sin.base (i32.load offset=4 (local.get $table)))
    (local.set $d_y.base (i32.load offset=8 (local.get $table)))
    (local.set $d_x.base (i32.load offset=12 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=16 (local.get $table))))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $cos.at (i32.add (local.get $cos.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $sin.at (i32.add (local.get $sin.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $d_y0.at (i32.add (local.get $d_y.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $d_y1.at (i32.add (local.get $d_y.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $d_x0.at (i32.add (local.get $d_x.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $d_x1.at (i32.add (local.get $d_x.base) (i32.mul (local.get $row) (i32.const 64))))
          ;; phase 1: d_x0, d_x1
          (local.set $lane (i32.const 0))
          (loop $last1
            (local.set $sin (v128.load (i32.add (local.get $sin.at) (local.get $lane))))
            (local.set $d_y1 (i8x16.shuffle 0 1 2 3 8 9 10 11 16 17 18 19 24 25 26 27 (v128.load offset=4 (i32.add (local.get $d_y1.at) (i32.shl (local.get $lane) (i32.const 1)))) (v128.load offset=20 (i32.add (local.get $d_y1.at) (i32.shl (local.get $lane) (i32.const 1))))))
            (local.set $cos (v128.load (i32.add (local.get $cos.at) (local.get $lane))))
            (local.set $d_y0 (i8x16.shuffle 0 1 2 3 8 9 10 11 16 17 18 19 24 25 26 27 (v128.load (i32.add (local.get $d_y0.at) (i32.shl (local.get $lane) (i32.const 1)))) (v128.load offset=16 (i32.add (local.get $d_y0.at) (i32.shl (local.get $lane) (i32.const 1))))))
            (local.set $stored. (f32x4.add (f32x4.mul (local.get $sin) (local.get $d_y1)) (f32x4.mul (local.get $cos) (local.get $d_y0))))
            (v128.store32_lane offset=0 0 (i32.add (local.get $d_x0.at) (i32.shl (local.get $lane) (i32.const 1))) (local.get $stored.))
            (v128.store32_lane offset=8 1 (i32.add (local.get $d_x0.at) (i32.shl (local.get $lane) (i32.const 1))) (local.get $stored.))
            (local.set $stored. (f32x4.sub (f32x4.mul (local.get $d_y1) (local.get $cos)) (f32x4.mul (local.get $sin) (local.get $d_y0))))
            (v128.store32_lane offset=4 0 (i32.add (local.get $d_x1.at) (i32.shl (local.get $lane) (i32.const 1))) (local.get $stored.))
            (v128.store32_lane offset=12 1 (i32.add (local.get $d_x1.at) (i32.shl (local.get $lane) (i32.const 1))) (local.get $stored.))
            (br_if $last1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 16))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
