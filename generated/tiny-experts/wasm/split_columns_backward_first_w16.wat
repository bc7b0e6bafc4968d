;; split_columns_backward_first_w16: Gradients of split_columns by x.
;;
;; formula:  d_x = d_y
;; source:   gradient of concatenation, backwards
;; operands: d_y    f32 rows of 16, 16 values apart
;;           d_x    f32 rows of 20, 48 values apart
;;           count  i32, rows of this run
;; tile:     512 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[0..2].attention.kv_down dgrad (model.attention)
;;           mtp[0].attention.kv_down dgrad (model.attention)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "split_columns_backward_first_w16") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $d_y.base i32)
    (local $d_x.base i32)
    (local $d_y.at i32)
    (local $d_x.at i32)
    (local.set $d_y.base (i32.load offset=0 (local.get $table)))
    (local.set $d_x.base (i32.load offset=4 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=8 (local.get $table))))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $d_y.at (i32.add (local.get $d_y.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $d_x.at (i32.add (local.get $d_x.base) (i32.mul (local.get $row) (i32.const 192))))
          ;; phase 1: d_x
          (local.set $lane (i32.const 0))
          (loop $vectors1
            (v128.store (i32.add (local.get $d_x.at) (local.get $lane)) (v128.load (i32.add (local.get $d_y.at) (local.get $lane))))
            (v128.store offset=16 (i32.add (local.get $d_x.at) (local.get $lane)) (v128.load offset=16 (i32.add (local.get $d_y.at) (local.get $lane))))
            (v128.store offset=32 (i32.add (local.get $d_x.at) (local.get $lane)) (v128.load offset=32 (i32.add (local.get $d_y.at) (local.get $lane))))
            (v128.store offset=48 (i32.add (local.get $d_x.at) (local.get $lane)) (v128.load offset=48 (i32.add (local.get $d_y.at) (local.get $lane))))
            (br_if $vectors1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 64))) (i32.const 64))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
