;; combine_dots_k2w32: The gradient of a choice's weight: its row times the gradient of the token's sum.
;;
;; formula:  d_weights[t, k] = Σ_c d_y[t, c] · rows[place[t, k], c]
;; source:   gradient of a weighted sum of experts; Shazeer et al., arXiv:1701.06538; DeepSeekMoE, arXiv:2401.06066
;; operands: rows       f32 rows of 32, 48 values apart
;;           d_y        f32 rows of 32, 48 values apart
;;           place      i32 rows of 2, 16 values apart
;;           d_weights  f32 rows of 2, 16 values apart
;;           count      i32, tokens of this run
;; tile:     256 tokens
;; chosen:   every token reads its own rows
;; used by:  layers[1..2].ffn.combine dgrad (model.ffn.experts)
;;           mtp[0].ffn.combine dgrad (model.ffn.experts)
;; spec:     tiny-experts
;; template: templates/wasm/combine-dots.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "combine_dots_k2w32") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $d_y i32) (local $place i32) (local $out i32) (local $tokens i32) (local $token i32) (local $token_end i32)
    (local $choice i32) (local $at i32) (local $lane i32) (local $row_at i32) (local $d_y_at i32) (local $sum v128) (local $product v128)
    (local.set $rows (i32.load (local.get $table)))
    (local.set $d_y (i32.load offset=4 (local.get $table)))
    (local.set $place (i32.load offset=8 (local.get $table)))
    (local.set $out (i32.load offset=12 (local.get $table)))
    (local.set $tokens (i32.load (i32.load offset=16 (local.get $table))))
    (local.set $token (i32.mul (local.get $begin) (i32.const 256)))
    (local.set $token_end (i32.mul (local.get $end) (i32.const 256)))
    (if (i32.gt_u (local.get $token_end) (local.get $tokens)) (then (local.set $token_end (local.get $tokens))))
    (loop $next_token
      (local.set $d_y_at (i32.add (local.get $d_y) (i32.mul (local.get $token) (i32.const 192))))
      (local.set $choice (i32.const 0))
      (loop $next_choice
        (local.set $at (i32.add (local.get $choice) (i32.mul (local.get $token) (i32.const 64))))
        (local.set $row_at (i32.add (local.get $rows)
          (i32.mul (i32.load (i32.add (local.get $place) (local.get $at))) (i32.const 192))))
        (local.set $sum (v128.const f32x4 0 0 0 0))
        (local.set $lane (i32.const 0))
        (loop $next_lanes
          (local.set $product (f32x4.mul
            (v128.load (i32.add (local.get $row_at) (local.get $lane)))
            (v128.load (i32.add (local.get $d_y_at) (local.get $lane)))))
          ;; what lies behind the last channel is nothing
          (if (i32.eq (local.get $lane) (i32.const 112)) (then
            (local.set $product (v128.and (local.get $product) (v128.const i32x4 -1 -1 -1 -1)))))
          (local.set $sum (f32x4.add (local.get $sum) (local.get $product)))
          (br_if $next_lanes (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 128))))
        (local.set $sum (f32x4.add (local.get $sum) (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $sum) (local.get $sum))))
        (local.set $sum (f32x4.add (local.get $sum) (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11 (local.get $sum) (local.get $sum))))
        (v128.store32_lane 0 (i32.add (local.get $out) (local.get $at)) (local.get $sum))
        (br_if $next_choice (i32.lt_u (local.tee $choice (i32.add (local.get $choice) (i32.const 4))) (i32.const 8))))
      (br_if $next_token (i32.lt_u (local.tee $token (i32.add (local.get $token) (i32.const 1))) (local.get $token_end))))))
