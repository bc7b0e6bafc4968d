;; combine_k2w32_weighted: Adds up the rows that a token's experts computed, each times its weight.
;;
;; formula:  y[t] = Σ_k weights[t, k] · rows[place[t, k]], in ascending k
;; source:   Shazeer et al., arXiv:1701.06538; DeepSeekMoE, arXiv:2401.06066
;; operands: rows     f32 rows of 32, 48 values apart
;;           weights  f32 rows of 2, 16 values apart
;;           place    i32 rows of 2, 16 values apart
;;           -        not used
;;           y        f32 rows of 32, 48 values apart
;;           count    i32, tokens of this run
;; tile:     256 tokens
;; chosen:   every token adds its own rows, so nothing is added by two threads
;; used by:  layers[1..2].ffn.combine fprop (model.ffn.experts)
;;           mtp[0].ffn.combine fprop (model.ffn.experts)
;; spec:     tiny-experts
;; template: templates/wasm/combine.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  ;; Four channels of a token at a time: the rows of its 2 choices, in order.
  (func (export "combine_k2w32_weighted") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $place i32) (local $y i32) (local $tokens i32) (local $token i32) (local $token_end i32)
    (local $lane i32) (local $choice i32) (local $place_at i32) (local $to i32) (local $sum v128) (local $value v128)
    (local $weights i32) (local $weights_at i32)
    (local.set $rows (i32.load (local.get $table)))
    (local.set $weights (i32.load offset=4 (local.get $table)))
    (local.set $place (i32.load offset=8 (local.get $table)))
    (local.set $y (i32.load offset=16 (local.get $table)))
    (local.set $tokens (i32.load (i32.load offset=20 (local.get $table))))
    (local.set $token (i32.mul (local.get $begin) (i32.const 256)))
    (local.set $token_end (i32.mul (local.get $end) (i32.const 256)))
    (if (i32.gt_u (local.get $token_end) (local.get $tokens)) (then (local.set $token_end (local.get $tokens))))
    (loop $next_token
      (local.set $place_at (i32.add (local.get $place) (i32.mul (local.get $token) (i32.const 64))))
      (local.set $weights_at (i32.add (local.get $weights) (i32.mul (local.get $token) (i32.const 64))))
      (local.set $to (i32.mul (local.get $token) (i32.const 192)))
      (local.set $lane (i32.const 0))
      (loop $next_lanes
        (local.set $sum (v128.const f32x4 0 0 0 0))
        (local.set $choice (i32.const 0))
        (loop $next_choice
          (local.set $value (v128.load (i32.add
            (i32.add (local.get $rows) (local.get $lane))
            (i32.mul (i32.load (i32.add (local.get $place_at) (local.get $choice))) (i32.const 192)))))
          (local.set $value (f32x4.mul (local.get $value) (v128.load32_splat (i32.add (local.get $weights_at) (local.get $choice)))))
          (local.set $sum (f32x4.add (local.get $sum) (local.get $value)))
          (br_if $next_choice (i32.lt_u (local.tee $choice (i32.add (local.get $choice) (i32.const 4))) (i32.const 8))))
        (v128.store (i32.add (local.get $y) (i32.add (local.get $to) (local.get $lane))) (local.get $sum))
        (br_if $next_lanes (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 128))))
      (br_if $next_token (i32.lt_u (local.tee $token (i32.add (local.get $token) (i32.const 1))) (local.get $token_end))))))
