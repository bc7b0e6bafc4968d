;; scatter_add_e259w32_state: Adds rows to the entries that an index names, in the order of the rows; a negative index names none.
;;
;; formula:  y[e] = Σ_{r: index[r] = e} rows[r], in ascending r
;; source:   gradient of an embedding lookup
;; operands: rows   f32 rows of 32, 48 values apart
;;           index  i32 vector
;;           out    f32 rows of 32, 48 values apart
;;           first  f32 scalar
;;           count  i32, rows of this run
;; tile:     8 entries
;; chosen:   every tile owns some entries and reads all indices, so no two tiles write one entry
;; used by:  embedding wgrad (model.width)
;;           mtp[0].embedding wgrad (model.width)
;; spec:     tiny-experts
;; template: templates/wasm/scatter-add.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "scatter_add_e259w32_state") (param $table i32) (param $begin i32) (param $end i32)
    (local $from i32) (local $index i32) (local $out i32) (local $rows i32) (local $row i32) (local $clears i32)
    (local $entry i32) (local $first_entry i32) (local $end_entry i32) (local $to i32) (local $at i32) (local $to_end i32)
    (local.set $from (i32.load (local.get $table)))
    (local.set $index (i32.load offset=4 (local.get $table)))
    (local.set $out (i32.load offset=8 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=16 (local.get $table))))
    ;; This call owns the entries of its tiles and reads every index, so no two threads write one entry.
    (local.set $first_entry (i32.mul (local.get $begin) (i32.const 8)))
    (local.set $end_entry (i32.mul (local.get $end) (i32.const 8)))
    (if (i32.gt_u (local.get $end_entry) (i32.const 259)) (then (local.set $end_entry (i32.const 259))))
    (local.set $clears (f32.ne (f32.load (i32.load offset=12 (local.get $table))) (f32.const 0)))
    (if (local.get $clears) (then
      (memory.fill
        (i32.add (local.get $out) (i32.mul (local.get $first_entry) (i32.const 192)))
        (i32.const 0)
        (i32.mul (i32.sub (local.get $end_entry) (local.get $first_entry)) (i32.const 192)))))
    (block $done
      (loop $next_row
        (br_if $done (i32.ge_u (local.get $row) (local.get $rows)))
        (local.set $entry (i32.load (i32.add (local.get $index) (i32.shl (local.get $row) (i32.const 2)))))
        (if (i32.and (i32.ge_u (local.get $entry) (local.get $first_entry)) (i32.lt_u (local.get $entry) (local.get $end_entry))) (then
          (local.set $to (i32.add (local.get $out) (i32.mul (local.get $entry) (i32.const 192))))
          (local.set $to_end (i32.add (local.get $to) (i32.const 128)))
          (local.set $at (i32.add (local.get $from) (i32.mul (local.get $row) (i32.const 192))))
          (loop $next_lane
            (v128.store (local.get $to) (f32x4.add (v128.load (local.get $to)) (v128.load (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (br_if $next_lane (i32.lt_u (local.tee $to (i32.add (local.get $to) (i32.const 16))) (local.get $to_end))))))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $next_row)))))
