;; router_e8k2g4_2w32: Chooses experts for every token, and their weights; a bias may steer the choice but not the weights.
;;
;; formula:  logits = x · weightᵀ; score = sigmoid(logit) of every row; index = the 2 greatest scores + choice_bias within the 2 of 4 groups with the greatest sum of their two greatest, the smaller index of equal ones; weights = scores[index] / Σ_chosen scores · 2.5
;; source:   DeepSeek-V3, arXiv:2412.19437, section 2.1.2; Shazeer et al., arXiv:1701.06538
;; operands: x            f32 rows of 32, 48 values apart
;;           weight       f32 in panels of 16, 32 deep
;;           bias         not used
;;           choice_bias  f32 vector
;;           logits       f32 rows of 8, 16 values apart
;;           scores       f32 rows of 8, 16 values apart
;;           index        i32 rows of 2, 16 values apart
;;           weights      f32 rows of 2, 16 values apart
;;           count        i32, rows of this run
;; tile:     32 rows
;; chosen:   logits, scores and choice in one kernel, whose sums do not depend on how many rows there are
;; used by:  layers[1..2].ffn.router fprop (model.ffn.router)
;;           mtp[0].ffn.router fprop (model.ffn.router)
;; spec:     tiny-experts
;; template: templates/wasm/router.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (import "mspec" "scratch" (global $scratch i32))
  (global $f.88 (mut v128) (v128.const f32x4 88 88 88 88))
  (global $f.-87.33655 (mut v128) (v128.const f32x4 -87.33655 -87.33655 -87.33655 -87.33655))
  (global $f.12582912 (mut v128) (v128.const f32x4 12582912 12582912 12582912 12582912))
  (global $f.1.442695 (mut v128) (v128.const f32x4 1.442695 1.442695 1.442695 1.442695))
  (global $f.0.6933594 (mut v128) (v128.const f32x4 0.6933594 0.6933594 0.6933594 0.6933594))
  (global $f.-0.00021219444 (mut v128) (v128.const f32x4 -0.00021219444 -0.00021219444 -0.00021219444 -0.00021219444))
  (global $f.0.001381432 (mut v128) (v128.const f32x4 0.001381432 0.001381432 0.001381432 0.001381432))
  (global $f.0.008368851 (mut v128) (v128.const f32x4 0.008368851 0.008368851 0.008368851 0.008368851))
  (global $f.0.0416684 (mut v128) (v128.const f32x4 0.0416684 0.0416684 0.0416684 0.0416684))
  (global $f.0.1666652 (mut v128) (v128.const f32x4 0.1666652 0.1666652 0.1666652 0.1666652))
  (global $f.0.49999994 (mut v128) (v128.const f32x4 0.49999994 0.49999994 0.49999994 0.49999994))
  (global $f.1 (mut v128) (v128.const f32x4 1 1 1 1))
  ;; out[rows, 16 panels] = source + Σ_k a(i, k) · b(k, j), two rows by 16 columns at a time; a source of 0 means none.
  ;; a(i, k) stands 192 bytes per i and 4 per k; b(k, j) 64 bytes per k, its panels 2048 bytes apart; rows of
  ;; out and source are 64 bytes apart. Where the rows are odd in number, which only the last tile's
  ;; are, the row behind is computed as well: every buffer has room for it.
  (func $router_e8k2g4_2w32.product (param $a i32) (param $b i32) (param $out i32) (param $source i32) (param $rows i32) (param $panels i32) (param $depth i32)
    (local $row i32) (local $a_at i32) (local $b_at i32) (local $out_at i32) (local $to_source i32) (local $source_at i32) (local $a_next i32) (local $a_end i32) (local $x v128) (local $span i32)
    (local $b0 v128) (local $b1 v128) (local $b2 v128) (local $b3 v128)
    (local $c00 v128) (local $c01 v128) (local $c02 v128) (local $c03 v128)
    (local $c10 v128) (local $c11 v128) (local $c12 v128) (local $c13 v128)
    (local.set $to_source (i32.sub (local.get $source) (local.get $out)))
    (local.set $span (i32.mul (local.get $depth) (i32.const 4)))
    (loop $next_panel
      (local.set $row (i32.const 0))
      (local.set $a_next (local.get $a))
      (local.set $out_at (local.get $out))
      (loop $next_row
        (local.set $a_at (local.get $a_next))
        (local.set $a_end (i32.add (local.get $a_at) (local.get $span)))
        (local.set $b_at (local.get $b))
        (local.set $c00 (v128.const f32x4 0 0 0 0))
        (local.set $c01 (v128.const f32x4 0 0 0 0))
        (local.set $c02 (v128.const f32x4 0 0 0 0))
        (local.set $c03 (v128.const f32x4 0 0 0 0))
        (local.set $c10 (v128.const f32x4 0 0 0 0))
        (local.set $c11 (v128.const f32x4 0 0 0 0))
        (local.set $c12 (v128.const f32x4 0 0 0 0))
        (local.set $c13 (v128.const f32x4 0 0 0 0))
        (loop $next_k
          (local.set $b0 (v128.load (local.get $b_at)))
          (local.set $b1 (v128.load offset=16 (local.get $b_at)))
          (local.set $b2 (v128.load offset=32 (local.get $b_at)))
          (local.set $b3 (v128.load offset=48 (local.get $b_at)))
          (local.set $x (v128.load32_splat (local.get $a_at)))
          (local.set $c00 (f32x4.add (local.get $c00) (f32x4.mul (local.get $x) (local.get $b0))))
          (local.set $c01 (f32x4.add (local.get $c01) (f32x4.mul (local.get $x) (local.get $b1))))
          (local.set $c02 (f32x4.add (local.get $c02) (f32x4.mul (local.get $x) (local.get $b2))))
          (local.set $c03 (f32x4.add (local.get $c03) (f32x4.mul (local.get $x) (local.get $b3))))
          (local.set $x (v128.load32_splat offset=192 (local.get $a_at)))
          (local.set $c10 (f32x4.add (local.get $c10) (f32x4.mul (local.get $x) (local.get $b0))))
          (local.set $c11 (f32x4.add (local.get $c11) (f32x4.mul (local.get $x) (local.get $b1))))
          (local.set $c12 (f32x4.add (local.get $c12) (f32x4.mul (local.get $x) (local.get $b2))))
          (local.set $c13 (f32x4.add (local.get $c13) (f32x4.mul (local.get $x) (local.get $b3))))
          (local.set $b_at (i32.add (local.get $b_at) (i32.const 64)))
          (br_if $next_k (i32.lt_u (local.tee $a_at (i32.add (local.get $a_at) (i32.const 4))) (local.get $a_end))))
        (if (local.get $source) (then
          (local.set $source_at (i32.add (local.get $out_at) (local.get $to_source)))
          (local.set $c00 (f32x4.add (local.get $c00) (v128.load (local.get $source_at))))
          (local.set $c01 (f32x4.add (local.get $c01) (v128.load offset=16 (local.get $source_at))))
          (local.set $c02 (f32x4.add (local.get $c02) (v128.load offset=32 (local.get $source_at))))
          (local.set $c03 (f32x4.add (local.get $c03) (v128.load offset=48 (local.get $source_at))))
          (local.set $source_at (i32.add (local.get $source_at) (i32.const 64)))
          (local.set $c10 (f32x4.add (local.get $c10) (v128.load (local.get $source_at))))
          (local.set $c11 (f32x4.add (local.get $c11) (v128.load offset=16 (local.get $source_at))))
          (local.set $c12 (f32x4.add (local.get $c12) (v128.load offset=32 (local.get $source_at))))
          (local.set $c13 (f32x4.add (local.get $c13) (v128.load offset=48 (local.get $source_at))))
        ))
        (v128.store (local.get $out_at) (local.get $c00))
        (v128.store offset=16 (local.get $out_at) (local.get $c01))
        (v128.store offset=32 (local.get $out_at) (local.get $c02))
        (v128.store offset=48 (local.get $out_at) (local.get $c03))
        (local.set $out_at (i32.add (local.get $out_at) (i32.const 64)))
        (v128.store (local.get $out_at) (local.get $c10))
        (v128.store offset=16 (local.get $out_at) (local.get $c11))
        (v128.store offset=32 (local.get $out_at) (local.get $c12))
        (v128.store offset=48 (local.get $out_at) (local.get $c13))
        (local.set $out_at (i32.add (local.get $out_at) (i32.const 64)))
        (local.set $a_next (i32.add (local.get $a_next) (i32.const 384)))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 2))) (local.get $rows))))
      (local.set $b (i32.add (local.get $b) (i32.const 2048)))
      (local.set $out (i32.add (local.get $out) (i32.const 64)))
      (br_if $next_panel (local.tee $panels (i32.sub (local.get $panels) (i32.const 1))))))

  ;; The scores of the rows of some tiles: logits = x · weightᵀ; score = sigmoid(logit) of every row
  (func $router_e8k2g4_2w32.score (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $x.base i32)
    (local $weight.base i32)
    (local $bias.base i32)
    (local $choice_bias.base i32)
    (local $logits.base i32)
    (local $scores.base i32)
    (local $index.base i32)
    (local $weights.base i32)
    (local $logit.at i32)
    (local $score.at i32)
    (local $sigmoid v128)
    (local $exp.x v128)
    (local $f.88 v128)
    (local $f.-87.33655 v128)
    (local $exp.n v128)
    (local $exp.r v128)
    (local $f.12582912 v128)
    (local $f.1.442695 v128)
    (local $f.0.6933594 v128)
    (local $f.-0.00021219444 v128)
    (local $f.0.001381432 v128)
    (local $f.0.008368851 v128)
    (local $f.0.0416684 v128)
    (local $f.0.1666652 v128)
    (local $f.0.49999994 v128)
    (local $f.1 v128)
    (local $sigmoid_2 v128)
    (local.set $x.base (i32.load offset=0 (local.get $table)))
    (local.set $weight.base (i32.load offset=4 (local.get $table)))
    (local.set $bias.base (i32.load offset=8 (local.get $table)))
    (local.set $choice_bias.base (i32.load offset=12 (local.get $table)))
    (local.set $logits.base (i32.load offset=16 (local.get $table)))
    (local.set $scores.base (i32.load offset=20 (local.get $table)))
    (local.set $index.base (i32.load offset=24 (local.get $table)))
    (local.set $weights.base (i32.load offset=28 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=32 (local.get $table))))
    (local.set $f.88 (global.get $f.88))
    (local.set $f.-87.33655 (global.get $f.-87.33655))
    (local.set $f.12582912 (global.get $f.12582912))
    (local.set $f.1.442695 (global.get $f.1.442695))
    (local.set $f.0.6933594 (global.get $f.0.6933594))
    (local.set $f.-0.00021219444 (global.get $f.-0.00021219444))
    (local.set $f.0.001381432 (global.get $f.0.001381432))
    (local.set $f.0.008368851 (global.get $f.0.008368851))
    (local.set $f.0.0416684 (global.get $f.0.0416684))
    (local.set $f.0.1666652 (global.get $f.0.1666652))
    (local.set $f.0.49999994 (global.get $f.0.49999994))
    (local.set $f.1 (global.get $f.1))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 32)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 32)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $logit.at (i32.add (local.get $logits.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $score.at (i32.add (local.get $scores.base) (i32.mul (local.get $row) (i32.const 64))))
          ;; phase 1: score
          (local.set $lane (i32.const 0))
          (loop $vectors1
            ;; sigmoid: 1 / (1 + e^-x)
            (local.set $exp.x (f32x4.neg (v128.load (i32.add (local.get $logit.at) (local.get $lane)))))
            ;; e^x = 2^n e^r with |r| <= ln 2 / 2; adding 1.5 * 2^23 rounds n into the low bits
            (local.set $exp.r (f32x4.pmax (f32x4.pmin (local.get $exp.x) (local.get $f.88)) (local.get $f.-87.33655)))
            (local.set $exp.n (f32x4.add (f32x4.mul (local.get $exp.r) (local.get $f.1.442695)) (local.get $f.12582912)))
            (local.set $exp.r (f32x4.sub (f32x4.sub (local.get $exp.r) (f32x4.mul (f32x4.sub (local.get $exp.n) (local.get $f.12582912)) (local.get $f.0.6933594))) (f32x4.mul (f32x4.sub (local.get $exp.n) (local.get $f.12582912)) (local.get $f.-0.00021219444))))
            (local.set $exp.r (f32x4.add (f32x4.add (f32x4.mul (f32x4.mul (local.get $exp.r) (local.get $exp.r)) (f32x4.add (f32x4.mul (f32x4.add (f32x4.mul (f32x4.add (f32x4.mul (f32x4.add (f32x4.mul (local.get $f.0.001381432) (local.get $exp.r)) (local.get $f.0.008368851)) (local.get $exp.r)) (local.get $f.0.0416684)) (local.get $exp.r)) (local.get $f.0.1666652)) (local.get $exp.r)) (local.get $f.0.49999994))) (local.get $exp.r)) (local.get $f.1)))
            (local.set $sigmoid (v128.or (i32x4.add (local.get $exp.r) (i32x4.shl (local.get $exp.n) (i32.const 23))) (f32x4.ne (local.get $exp.x) (local.get $exp.x))))
            (local.set $sigmoid (f32x4.div (local.get $f.1) (f32x4.add (local.get $f.1) (local.get $sigmoid))))
            (v128.store (i32.add (local.get $score.at) (local.get $lane)) (local.get $sigmoid))
            ;; lanes 4 to 7 of this pass
            ;; sigmoid: 1 / (1 + e^-x)
            (local.set $exp.x (f32x4.neg (v128.load offset=16 (i32.add (local.get $logit.at) (local.get $lane)))))
            ;; e^x = 2^n e^r with |r| <= ln 2 / 2; adding 1.5 * 2^23 rounds n into the low bits
            (local.set $exp.r (f32x4.pmax (f32x4.pmin (local.get $exp.x) (local.get $f.88)) (local.get $f.-87.33655)))
            (local.set $exp.n (f32x4.add (f32x4.mul (local.get $exp.r) (local.get $f.1.442695)) (local.get $f.12582912)))
            (local.set $exp.r (f32x4.sub (f32x4.sub (local.get $exp.r) (f32x4.mul (f32x4.sub (local.get $exp.n) (local.get $f.12582912)) (local.get $f.0.6933594))) (f32x4.mul (f32x4.sub (local.get $exp.n) (local.get $f.12582912)) (local.get $f.-0.00021219444))))
            (local.set $exp.r (f32x4.add (f32x4.add (f32x4.mul (f32x4.mul (local.get $exp.r) (local.get $exp.r)) (f32x4.add (f32x4.mul (f32x4.add (f32x4.mul (f32x4.add (f32x4.mul (f32x4.add (f32x4.mul (local.get $f.0.001381432) (local.get $exp.r)) (local.get $f.0.008368851)) (local.get $exp.r)) (local.get $f.0.0416684)) (local.get $exp.r)) (local.get $f.0.1666652)) (local.get $exp.r)) (local.get $f.0.49999994))) (local.get $exp.r)) (local.get $f.1)))
            (local.set $sigmoid_2 (v128.or (i32x4.add (local.get $exp.r) (i32x4.shl (local.get $exp.n) (i32.const 23))) (f32x4.ne (local.get $exp.x) (local.get $exp.x))))
            (local.set $sigmoid_2 (f32x4.div (local.get $f.1) (f32x4.add (local.get $f.1) (local.get $sigmoid_2))))
            (v128.store offset=16 (i32.add (local.get $score.at) (local.get $lane)) (local.get $sigmoid_2))
            (br_if $vectors1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 32))) (i32.const 32))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))

  ;; A number that orders as its float does: 0 and -0 alike, NaN below every number and above what is masked.
  (func $router_e8k2g4_2w32.key (param $value f32) (result i32)
    (local $bits i32)
    (if (f32.ne (local.get $value) (local.get $value)) (then (return (i32.const -2147483647))))
    (local.set $bits (i32.reinterpret_f32 (f32.add (local.get $value) (f32.const 0))))
    (i32.xor (local.get $bits) (i32.and (i32.shr_s (local.get $bits) (i32.const 31)) (i32.const 2147483647))))

  ;; The place of the greatest of some keys, the first of equal ones; its key becomes the lowest, which stands for masked.
  (func $router_e8k2g4_2w32.take (param $keys i32) (param $bytes i32) (result i32)
    (local $at i32) (local $best i32) (local $most i32) (local $key i32)
    (local.set $most (i32.const -2147483648))
    (loop $next
      (local.set $key (i32.load (i32.add (local.get $keys) (local.get $at))))
      (if (i32.gt_s (local.get $key) (local.get $most)) (then
        (local.set $most (local.get $key))
        (local.set $best (local.get $at))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (local.get $bytes))))
    (i32.store (i32.add (local.get $keys) (local.get $best)) (i32.const -2147483648))
    (local.get $best))

  ;; Masks the experts of all groups but the 2 best: the sum of its two greatest decides.
  (func $router_e8k2g4_2w32.mask_groups (param $scores i32) (param $choice_bias i32) (param $keys i32) (param $group_keys i32)
    (local $group i32) (local $e i32) (local $end i32) (local $value f32) (local $first f32) (local $second f32) (local $kept i32)
    (loop $next_group
      (local.set $first (f32.const -3.4028234663852886e38))
      (local.set $second (f32.const -3.4028234663852886e38))
      (local.set $end (i32.add (local.get $e) (i32.const 8)))
      (loop $next_expert
        (local.set $value (f32.load (i32.add (local.get $scores) (local.get $e))))
        (local.set $value (f32.add (local.get $value) (f32.load (i32.add (local.get $choice_bias) (local.get $e)))))
        (if (f32.gt (local.get $value) (local.get $first))
          (then
            (local.set $second (local.get $first))
            (local.set $first (local.get $value)))
          (else (if (f32.gt (local.get $value) (local.get $second)) (then (local.set $second (local.get $value))))))
        (br_if $next_expert (i32.lt_u (local.tee $e (i32.add (local.get $e) (i32.const 4))) (local.get $end))))
      (local.set $first (f32.add (local.get $first) (local.get $second)))
      (i32.store (i32.add (local.get $group_keys) (local.get $group)) (call $router_e8k2g4_2w32.key (local.get $first)))
      (br_if $next_group (i32.lt_u (local.tee $group (i32.add (local.get $group) (i32.const 4))) (i32.const 16))))
    ;; the groups that are kept are masked themselves: what is left is not kept
    (loop $keep
      (drop (call $router_e8k2g4_2w32.take (local.get $group_keys) (i32.const 16)))
      (br_if $keep (i32.lt_u (local.tee $kept (i32.add (local.get $kept) (i32.const 1))) (i32.const 2))))
    (local.set $group (i32.const 0))
    (local.set $e (i32.const 0))
    (loop $next
      (local.set $end (i32.add (local.get $e) (i32.const 8)))
      (if (i32.ne (i32.load (i32.add (local.get $group_keys) (local.get $group))) (i32.const -2147483648)) (then
        (loop $mask
          (i32.store (i32.add (local.get $keys) (local.get $e)) (i32.const -2147483648))
          (br_if $mask (i32.lt_u (local.tee $e (i32.add (local.get $e) (i32.const 4))) (local.get $end))))))
      (local.set $e (local.get $end))
      (br_if $next (i32.lt_u (local.tee $group (i32.add (local.get $group) (i32.const 4))) (i32.const 16)))))

  ;; The experts of one row of scores, and their weights.
  (func $router_e8k2g4_2w32.choose (param $scores i32) (param $choice_bias i32) (param $index i32) (param $weights i32)
    (local $keys i32) (local $e i32) (local $k i32) (local $value f32) (local $sum f32)
    (local.set $keys (i32.add (global.get $scratch) (i32.const 0)))
    (loop $next_key
      (local.set $value (f32.load (i32.add (local.get $scores) (local.get $e))))
      (local.set $value (f32.add (local.get $value) (f32.load (i32.add (local.get $choice_bias) (local.get $e)))))
      (i32.store (i32.add (local.get $keys) (local.get $e)) (call $router_e8k2g4_2w32.key (local.get $value)))
      (br_if $next_key (i32.lt_u (local.tee $e (i32.add (local.get $e) (i32.const 4))) (i32.const 32))))
    (call $router_e8k2g4_2w32.mask_groups (local.get $scores) (local.get $choice_bias) (local.get $keys)
      (i32.add (global.get $scratch) (i32.const 32)))
    (loop $next_choice
      (local.set $e (call $router_e8k2g4_2w32.take (local.get $keys) (i32.const 32)))
      (local.set $value (f32.load (i32.add (local.get $scores) (local.get $e))))
      (local.set $sum (f32.add (local.get $sum) (local.get $value)))
      (i32.store (i32.add (local.get $index) (local.get $k)) (i32.shr_u (local.get $e) (i32.const 2)))
      (f32.store (i32.add (local.get $weights) (local.get $k)) (local.get $value))
      (br_if $next_choice (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 4))) (i32.const 8))))
    (local.set $sum (f32.add (local.get $sum) (f32.const 9.999999682655225e-21)))
    (local.set $k (i32.const 0))
    (loop $next_weight
      (local.set $value (f32.load (i32.add (local.get $weights) (local.get $k))))
      (local.set $value (f32.div (local.get $value) (local.get $sum)))
      (f32.store (i32.add (local.get $weights) (local.get $k)) (f32.mul (local.get $value) (f32.const 2.5)))
      (br_if $next_weight (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 4))) (i32.const 8))))
  )

  ;; Logits of a tile's rows, their scores, and each row's choice.
  (func (export "router_e8k2g4_2w32") (param $table i32) (param $begin i32) (param $end i32)
    (local $x i32) (local $weight i32) (local $logits i32) (local $scores i32) (local $index i32) (local $weights i32)
    (local $choice_bias i32) (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $k i32) (local $k_end i32)
    (local $out_at i32) (local $source_at i32)
    (local.set $x (i32.load (local.get $table)))
    (local.set $weight (i32.load offset=4 (local.get $table)))
    (local.set $choice_bias (i32.load offset=12 (local.get $table)))
    (local.set $logits (i32.load offset=16 (local.get $table)))
    (local.set $scores (i32.load offset=20 (local.get $table)))
    (local.set $index (i32.load offset=24 (local.get $table)))
    (local.set $weights (i32.load offset=28 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=32 (local.get $table))))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 32)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 32)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (local.set $out_at (i32.add (local.get $logits) (i32.mul (local.get $row) (i32.const 64))))
      (local.set $source_at (i32.const 0))
      (local.set $k (i32.const 0))
      (loop $next_block
        (local.set $k_end (i32.add (local.get $k) (i32.const 256)))
        (if (i32.gt_u (local.get $k_end) (i32.const 32)) (then (local.set $k_end (i32.const 32))))
        (call $router_e8k2g4_2w32.product
          (i32.add (local.get $x) (i32.add (i32.mul (local.get $row) (i32.const 192)) (i32.shl (local.get $k) (i32.const 2))))
          (i32.add (local.get $weight) (i32.shl (local.get $k) (i32.const 6)))
          (local.get $out_at) (local.get $source_at)
          (i32.sub (local.get $row_end) (local.get $row)) (i32.const 1) (i32.sub (local.get $k_end) (local.get $k)))
        (local.set $source_at (local.get $out_at))
        (br_if $next_block (i32.lt_u (local.tee $k (local.get $k_end)) (i32.const 32))))
      (call $router_e8k2g4_2w32.score (local.get $table) (local.get $tile) (i32.add (local.get $tile) (i32.const 1)))
      (loop $next_row
        (call $router_e8k2g4_2w32.choose
          (i32.add (local.get $scores) (i32.mul (local.get $row) (i32.const 64)))
          (local.get $choice_bias)
          (i32.add (local.get $index) (i32.mul (local.get $row) (i32.const 64)))
          (i32.add (local.get $weights) (i32.mul (local.get $row) (i32.const 64))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
