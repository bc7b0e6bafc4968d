;; scatter_store_w32: Writes rows into the slots of a cache that an index names; a negative index writes nothing.
;;
;; formula:  y[index[r]] = rows[r] where index[r] >= 0; other slots keep state
;; source:   key-value cache; pages: Kwon et al., arXiv:2309.06180
;; operands: rows   f32 rows of 32, 48 values apart
;;           index  i32 vector
;;           out    f32 rows of 32, 48 values apart
;;           count  i32, rows of this run
;; tile:     512 rows
;; chosen:   it copies rows to slots that differ
;; used by:  mtp[0].hidden_norm fprop (model.mtp)
;; spec:     tiny-experts
;; template: templates/wasm/scatter-store.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "scatter_store_w32") (param $table i32) (param $begin i32) (param $end i32)
    (local $from i32) (local $index i32) (local $out i32) (local $rows i32) (local $row i32) (local $row_end i32) (local $slot i32)
    (local.set $from (i32.load (local.get $table)))
    (local.set $index (i32.load offset=4 (local.get $table)))
    (local.set $out (i32.load offset=8 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=12 (local.get $table))))
    (local.set $row (i32.mul (local.get $begin) (i32.const 512)))
    (local.set $row_end (i32.mul (local.get $end) (i32.const 512)))
    (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
    (loop $next_row
      (local.set $slot (i32.load (i32.add (local.get $index) (i32.shl (local.get $row) (i32.const 2)))))
      (if (i32.ge_s (local.get $slot) (i32.const 0)) (then
        (memory.copy
          (i32.add (local.get $out) (i32.mul (local.get $slot) (i32.const 192)))
          (i32.add (local.get $from) (i32.mul (local.get $row) (i32.const 192)))
          (i32.const 128))))
      (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))))
