;; dispatch_k2w32: Copies every token's row to each of its experts; rows of nobody are 0.
;;
;; formula:  rows[r] = x[source[r] / top_k], or 0 where source[r] < 0
;; source:   Shazeer et al., arXiv:1701.06538; DeepSeekMoE, arXiv:2401.06066
;; operands: x       f32 rows of 32, 48 values apart
;;           source  i32 vector
;;           -       not used
;;           rows    f32 rows of 32, 48 values apart
;;           count   i32, routed rows of this run
;; tile:     512 rows
;; chosen:   it copies rows by index
;; used by:  layers[1..2].ffn.dispatch fprop (model.ffn.experts)
;;           mtp[0].ffn.dispatch fprop (model.ffn.experts)
;; spec:     tiny-experts
;; template: templates/wasm/dispatch.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  ;; A row of `source` names a choice, token * 2 + k, or nobody.
  (func (export "dispatch_k2w32") (param $table i32) (param $begin i32) (param $end i32)
    (local $x i32) (local $source i32) (local $out i32) (local $rows i32) (local $row i32) (local $row_end i32)
    (local $choice i32) (local $from i32) (local $to i32)
    (local.set $x (i32.load (local.get $table)))
    (local.set $source (i32.load offset=4 (local.get $table)))
    (local.set $out (i32.load offset=12 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=16 (local.get $table))))
    (local.set $row (i32.mul (local.get $begin) (i32.const 512)))
    (local.set $row_end (i32.mul (local.get $end) (i32.const 512)))
    (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
    (loop $next_row
      (local.set $choice (i32.load (i32.add (local.get $source) (i32.shl (local.get $row) (i32.const 2)))))
      (local.set $to (i32.add (local.get $out) (i32.mul (local.get $row) (i32.const 192))))
      (if (i32.lt_s (local.get $choice) (i32.const 0))
        (then (memory.fill (local.get $to) (i32.const 0) (i32.const 128)))
        (else
          (local.set $from (i32.add (local.get $x)
            (i32.mul (i32.div_u (local.get $choice) (i32.const 2)) (i32.const 192))))
          (memory.copy (local.get $to) (local.get $from) (i32.const 128))
        ))
      (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))))
