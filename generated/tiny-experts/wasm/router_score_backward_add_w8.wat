;; router_score_backward_add_w8: Gradients of router_score by logit, with addend added to d_logit.
;;
;; formula:  d_logit = sigmoid(logit) * d_score * (1 - sigmoid(logit)) + addend
;; source:   gradient of DeepSeek-V3, arXiv:2412.19437, section 2.1.2; Shazeer et al., arXiv:1701.06538
;; operands: logit    f32 rows of 8, 16 values apart
;;           d_score  f32 rows of 8, 16 values apart
;;           addend   f32 rows of 8, 16 values apart
;;           d_logit  f32 rows of 8, 16 values apart
;;           count    i32, rows of this run
;; tile:     512 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[1..2].ffn.router dgrad (model.ffn.router)
;;           mtp[0].ffn.router dgrad (model.ffn.router)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
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
  (func (export "router_score_backward_add_w8") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $logit.base i32)
    (local $d_score.base i32)
    (local $addend.base i32)
    (local $d_logit.base i32)
    (local $logit.at i32)
    (local $d_score.at i32)
    (local $addend.at i32)
    (local $d_logit.at i32)
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
    (local.set $logit.base (i32.load offset=0 (local.get $table)))
    (local.set $d_score.base (i32.load offset=4 (local.get $table)))
    (local.set $addend.base (i32.load offset=8 (local.get $table)))
    (local.set $d_logit.base (i32.load offset=12 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=16 (local.get $table))))
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
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $logit.at (i32.add (local.get $logit.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $d_score.at (i32.add (local.get $d_score.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $addend.at (i32.add (local.get $addend.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $d_logit.at (i32.add (local.get $d_logit.base) (i32.mul (local.get $row) (i32.const 64))))
          ;; phase 1: d_logit
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
            (v128.store (i32.add (local.get $d_logit.at) (local.get $lane)) (f32x4.add (f32x4.mul (f32x4.mul (local.get $sigmoid) (v128.load (i32.add (local.get $d_score.at) (local.get $lane)))) (f32x4.sub (local.get $f.1) (local.get $sigmoid))) (v128.load (i32.add (local.get $addend.at) (local.get $lane)))))
            (br_if $vectors1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 32))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
