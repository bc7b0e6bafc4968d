;; spread_w1: Repeats a number for every token.
;;
;; formula:  y = value
;; source:   the gradient of a mean by its terms
;; operands: value  f32 scalar
;;           y      f32 vector
;;           count  i32, rows of this run
;; tile:     512 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  loss dgrad (model.ffn.router.losses)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "spread_w1") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $value.base i32)
    (local $y.base i32)
    (local $y.at i32)
    (local.set $value.base (i32.load offset=0 (local.get $table)))
    (local.set $y.base (i32.load offset=4 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=8 (local.get $table))))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $y.at (i32.add (local.get $y.base) (i32.mul (local.get $row) (i32.const 4))))
          ;; phase 1: y
          (v128.store32_lane 0 (local.get $y.at) (v128.load32_splat (local.get $value.base)))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
