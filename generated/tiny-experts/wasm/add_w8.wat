;; add_w8: Adds two tensors of one shape.
;;
;; formula:  sum = a + b
;; source:   residual connection, He et al., arXiv:1512.03385
;; operands: a      f32 rows of 8, 16 values apart
;;           b      f32 rows of 8, 16 values apart
;;           sum    f32 rows of 8, 16 values apart
;;           count  i32, rows of this run
;; tile:     512 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[1..2].ffn.router dgrad (model.ffn.router)
;;           mtp[0].ffn.router dgrad (model.ffn.router)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "add_w8") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $a.base i32)
    (local $b.base i32)
    (local $sum.base i32)
    (local $a.at i32)
    (local $b.at i32)
    (local $sum.at i32)
    (local.set $a.base (i32.load offset=0 (local.get $table)))
    (local.set $b.base (i32.load offset=4 (local.get $table)))
    (local.set $sum.base (i32.load offset=8 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=12 (local.get $table))))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $a.at (i32.add (local.get $a.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $b.at (i32.add (local.get $b.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $sum.at (i32.add (local.get $sum.base) (i32.mul (local.get $row) (i32.const 64))))
          ;; phase 1: sum
          (local.set $lane (i32.const 0))
          (loop $single1
            (v128.store (i32.add (local.get $sum.at) (local.get $lane)) (f32x4.add (v128.load (i32.add (local.get $a.at) (local.get $lane))) (v128.load (i32.add (local.get $b.at) (local.get $lane)))))
            (br_if $single1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 32))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
