;; router_backward_e8k2: The gradient of the scores through the weights of the chosen experts; 0 for all others.
;;
;; formula:  with s = Σ_chosen scores: d_scores[e] = scale / s · (d_weights[e] - Σ_chosen d_weights · scores / s)
;; source:   DeepSeek-V3, arXiv:2412.19437, section 2.1.2; Shazeer et al., arXiv:1701.06538
;; operands: d_weights  f32 rows of 2, 16 values apart
;;           index      i32 rows of 2, 16 values apart
;;           scores     f32 rows of 8, 16 values apart
;;           d_scores   f32 rows of 8, 16 values apart
;;           count      i32, rows of this run
;; tile:     512 rows
;; chosen:   a row touches its own experts only
;; used by:  layers[1..2].ffn.router dgrad (model.ffn.router)
;;           mtp[0].ffn.router dgrad (model.ffn.router)
;; spec:     tiny-experts
;; template: templates/wasm/router-backward.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "router_backward_e8k2") (param $table i32) (param $begin i32) (param $end i32)
    (local $d_weights i32) (local $index i32) (local $scores i32) (local $out i32) (local $rows i32) (local $row i32) (local $row_end i32)
    (local $choice i32) (local $choices i32) (local $scores_at i32) (local $out_at i32) (local $e i32) (local $d f32)
    (local $sum f32) (local $mean f32)
    (local.set $d_weights (i32.load (local.get $table)))
    (local.set $index (i32.load offset=4 (local.get $table)))
    (local.set $scores (i32.load offset=8 (local.get $table)))
    (local.set $out (i32.load offset=12 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=16 (local.get $table))))
    (local.set $row (i32.mul (local.get $begin) (i32.const 512)))
    (local.set $row_end (i32.mul (local.get $end) (i32.const 512)))
    (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
    (loop $next_row
      (local.set $choices (i32.mul (local.get $row) (i32.const 64)))
      (local.set $scores_at (i32.add (local.get $scores) (i32.mul (local.get $row) (i32.const 64))))
      (local.set $out_at (i32.add (local.get $out) (i32.mul (local.get $row) (i32.const 64))))
      (memory.fill (local.get $out_at) (i32.const 0) (i32.const 64))
      ;; sum of the chosen scores, and the mean of the weights' gradients by these
      (local.set $sum (f32.const 9.999999682655225e-21))
      (local.set $mean (f32.const 0))
      (local.set $choice (i32.const 0))
      (loop $add_choice
        (local.set $e (i32.shl (i32.load (i32.add (local.get $index) (i32.add (local.get $choices) (local.get $choice)))) (i32.const 2)))
        (local.set $d (f32.load (i32.add (local.get $scores_at) (local.get $e))))
        (local.set $sum (f32.add (local.get $sum) (local.get $d)))
        (local.set $mean (f32.add (local.get $mean) (f32.mul (local.get $d)
          (f32.load (i32.add (local.get $d_weights) (i32.add (local.get $choices) (local.get $choice)))))))
        (br_if $add_choice (i32.lt_u (local.tee $choice (i32.add (local.get $choice) (i32.const 4))) (i32.const 8))))
      (local.set $mean (f32.div (local.get $mean) (local.get $sum)))
      (local.set $choice (i32.const 0))
      (loop $next_choice
        (local.set $e (i32.shl (i32.load (i32.add (local.get $index) (i32.add (local.get $choices) (local.get $choice)))) (i32.const 2)))
        (local.set $d (f32.load (i32.add (local.get $d_weights) (i32.add (local.get $choices) (local.get $choice)))))
        (local.set $d (f32.div (f32.sub (local.get $d) (local.get $mean)) (local.get $sum)))
        (f32.store (i32.add (local.get $out_at) (local.get $e)) (f32.mul (local.get $d) (f32.const 2.5)))
        (br_if $next_choice (i32.lt_u (local.tee $choice (i32.add (local.get $choice) (i32.const 4))) (i32.const 8))))
      (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))))
