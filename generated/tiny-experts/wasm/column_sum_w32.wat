;; column_sum_w32: Adds partial sums of columns, in order.
;;
;; formula:  out[c] = Σ_r parts[r, c], in ascending r
;; source:   sum over rows in fixed chunks
;; operands: parts  f32 rows of 32, 48 values apart
;;           out    f32 vector
;;           count  i32, rows of parts of this run
;; tile:     256 columns
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  final_norm dgrad (model.norm)
;;           layers[0..2].attention.norm dgrad (model.norm)
;;           layers[0..2].ffn.norm dgrad (model.norm)
;;           mtp[0].attention.norm dgrad (model.norm)
;;           mtp[0].embedding_norm dgrad (model.norm)
;;           mtp[0].ffn.norm dgrad (model.norm)
;;           mtp[0].final_norm dgrad (model.norm)
;;           mtp[0].hidden_norm dgrad (model.norm)
;; spec:     tiny-experts
;; template: templates/wasm/column-sum.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "column_sum_w32") (param $table i32) (param $begin i32) (param $end i32)
    (local $parts i32) (local $out i32) (local $count i32) (local $column i32) (local $column_end i32) (local $at i32) (local $row i32) (local $sum v128)
    (local.set $parts (i32.load (local.get $table)))
    (local.set $out (i32.load offset=4 (local.get $table)))
    (local.set $count (i32.load (i32.load offset=8 (local.get $table))))
    (local.set $column (i32.mul (local.get $begin) (i32.const 256)))
    (local.set $column_end (i32.mul (local.get $end) (i32.const 256)))
    (if (i32.gt_u (local.get $column_end) (i32.const 32)) (then (local.set $column_end (i32.const 32))))
    (loop $next_columns
      (local.set $at (i32.add (local.get $parts) (i32.shl (local.get $column) (i32.const 2))))
      (local.set $sum (v128.const f32x4 0 0 0 0))
      (local.set $row (i32.const 0))
      (loop $next_row
        (local.set $sum (f32x4.add (local.get $sum) (v128.load (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 192)))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $count))))
      (v128.store (i32.add (local.get $out) (i32.shl (local.get $column) (i32.const 2))) (local.get $sum))
      (br_if $next_columns (i32.lt_u (local.tee $column (i32.add (local.get $column) (i32.const 4))) (local.get $column_end))))))
