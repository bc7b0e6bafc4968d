;; activation_w50: Applies the spec's activation formula to its projections, element by element.
;;
;; formula:  y = max(x, 0)^2
;; source:   model.ffn.activation; gated forms: Shazeer, arXiv:2002.05202
;; operands: x      f32 rows of 50, 80 values apart
;;           y      f32 rows of 50, 80 values apart
;;           count  i32, rows of this run
;; tile:     327 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[0].ffn.activation fprop (model.ffn.activation)
;; spec:     tiny-formulas
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (global $f.0 (mut v128) (v128.const f32x4 0 0 0 0))
  (func (export "activation_w50") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $x.base i32)
    (local $y.base i32)
    (local $x.at i32)
    (local $y.at i32)
    (local $max v128)
    (local $f.0 v128)
    (local $max_2 v128)
    (local $max_3 v128)
    (local $max_4 v128)
    (local $max_5 v128)
    (local $stored. v128)
    (local.set $x.base (i32.load offset=0 (local.get $table)))
    (local.set $y.base (i32.load offset=4 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=8 (local.get $table))))
    (local.set $f.0 (global.get $f.0))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 327)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 327)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $x.at (i32.add (local.get $x.base) (i32.mul (local.get $row) (i32.const 320))))
          (local.set $y.at (i32.add (local.get $y.base) (i32.mul (local.get $row) (i32.const 320))))
          ;; phase 1: y
          (local.set $lane (i32.const 0))
          (loop $vectors1
            (local.set $max (f32x4.pmax (v128.load (i32.add (local.get $x.at) (local.get $lane))) (local.get $f.0)))
            (v128.store (i32.add (local.get $y.at) (local.get $lane)) (f32x4.mul (local.get $max) (local.get $max)))
            (local.set $max_2 (f32x4.pmax (v128.load offset=16 (i32.add (local.get $x.at) (local.get $lane))) (local.get $f.0)))
            (v128.store offset=16 (i32.add (local.get $y.at) (local.get $lane)) (f32x4.mul (local.get $max_2) (local.get $max_2)))
            (local.set $max_3 (f32x4.pmax (v128.load offset=32 (i32.add (local.get $x.at) (local.get $lane))) (local.get $f.0)))
            (v128.store offset=32 (i32.add (local.get $y.at) (local.get $lane)) (f32x4.mul (local.get $max_3) (local.get $max_3)))
            (local.set $max_4 (f32x4.pmax (v128.load offset=48 (i32.add (local.get $x.at) (local.get $lane))) (local.get $f.0)))
            (v128.store offset=48 (i32.add (local.get $y.at) (local.get $lane)) (f32x4.mul (local.get $max_4) (local.get $max_4)))
            (br_if $vectors1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 64))) (i32.const 192))))
          (local.set $lane (i32.const 192))
          (loop $last1
            (local.set $max_5 (f32x4.pmax (v128.load (i32.add (local.get $x.at) (local.get $lane))) (local.get $f.0)))
            (local.set $stored. (f32x4.mul (local.get $max_5) (local.get $max_5)))
            (v128.store32_lane offset=0 0 (i32.add (local.get $y.at) (local.get $lane)) (local.get $stored.))
            (v128.store32_lane offset=4 1 (i32.add (local.get $y.at) (local.get $lane)) (local.get $stored.))
            (br_if $last1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 208))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
