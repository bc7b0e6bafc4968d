;; gather_w2: Takes the rows of a table that an index names, such as token embeddings; a negative index yields zeros.
;;
;; formula:  y[r] = table[index[r]], or 0 where index[r] < 0
;; source:   embedding lookup
;; operands: entries  f32 rows of 2, 16 values apart
;;           index    i32 vector
;;           out      f32 rows of 2, 16 values apart
;;           count    i32, rows of this run
;; tile:     512 rows
;; chosen:   it copies rows by index
;; used by:  rope fprop (model.attention.rope)
;; spec:     tiny-experts
;; template: templates/wasm/gather.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "gather_w2") (param $table i32) (param $begin i32) (param $end i32)
    (local $entries i32) (local $index i32) (local $out i32) (local $rows i32) (local $row i32) (local $row_end i32)
    (local $entry i32) (local $out_at i32)
    (local.set $entries (i32.load (local.get $table)))
    (local.set $index (i32.load offset=4 (local.get $table)))
    (local.set $out (i32.load offset=8 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=12 (local.get $table))))
    (local.set $row (i32.mul (local.get $begin) (i32.const 512)))
    (local.set $row_end (i32.mul (local.get $end) (i32.const 512)))
    (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
    (loop $next_row
      (local.set $entry (i32.load (i32.add (local.get $index) (i32.shl (local.get $row) (i32.const 2)))))
      (local.set $out_at (i32.add (local.get $out) (i32.mul (local.get $row) (i32.const 64))))
      (if (i32.lt_s (local.get $entry) (i32.const 0))
        (then (memory.fill (local.get $out_at) (i32.const 0) (i32.const 8)))
        (else (memory.copy
          (local.get $out_at)
          (i32.add (local.get $entries) (i32.mul (local.get $entry) (i32.const 64)))
          (i32.const 8))))
      (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))))
