;; loads_w8_vector: How many choices each expert got, as numbers that can be added up.
;;
;; formula:  y = count
;; source:   load of an expert: Wang et al., arXiv:2408.15664
;; operands: count    i32 vector
;;           y_parts  f32 rows of 8, 16 values apart
;;           count    i32, rows of this run
;; tile:     128 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[1..2].ffn.router fprop (model.ffn.router)
;;           mtp[0].ffn.router fprop (model.ffn.router)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "loads_w8_vector") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $count.base i32)
    (local $y_parts.base i32)
    (local $y.sums i32)
    (local.set $count.base (i32.load offset=0 (local.get $table)))
    (local.set $y_parts.base (i32.load offset=4 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=8 (local.get $table))))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 128)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 128)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (local.set $y.sums (i32.add (local.get $y_parts.base) (i32.mul (local.get $tile) (i32.const 64))))
      (memory.fill (local.get $y.sums) (i32.const 0) (i32.const 64))
      (loop $next_row
          ;; phase 1: y
          (local.set $lane (i32.const 0))
          (loop $single1
            (v128.store (i32.add (local.get $y_parts.base) (local.get $lane)) (f32x4.convert_i32x4_s (v128.load (i32.add (local.get $count.base) (local.get $lane)))))
            (br_if $single1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 32))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
