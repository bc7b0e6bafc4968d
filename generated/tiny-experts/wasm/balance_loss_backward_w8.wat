;; balance_loss_backward_w8: Gradients of balance_loss by scores.
;;
;; formula:  d_scores = d_loss * (fractions - sum(scores * fractions) / sum(scores)) / sum(scores)
;; source:   gradient of DeepSeek-V3, arXiv:2412.19437, equations 17 to 20; Switch Transformer, arXiv:2101.03961, equation 4
;; operands: scores     f32 rows of 8, 16 values apart
;;           fractions  f32 rows of 8, 16 values apart
;;           d_loss     f32 vector
;;           d_scores   f32 rows of 8, 16 values apart
;;           count      i32, rows of this run
;; tile:     512 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[1..2].ffn.router dgrad (model.ffn.router.losses.sequence)
;;           mtp[0].ffn.router dgrad (model.ffn.router.losses.sequence)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (global $f.0 (mut v128) (v128.const f32x4 0 0 0 0))
  (global $f.1 (mut v128) (v128.const f32x4 1 1 1 1))
  (func (export "balance_loss_backward_w8") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $scores.base i32)
    (local $fractions.base i32)
    (local $d_loss.base i32)
    (local $d_scores.base i32)
    (local $scores.at i32)
    (local $fractions.at i32)
    (local $d_loss.at i32)
    (local $d_scores.at i32)
    (local $sum_part0 v128)
    (local $sum_part1 v128)
    (local $sum_part2 v128)
    (local $sum_part3 v128)
    (local $sum_part0_2 v128)
    (local $sum_part1_2 v128)
    (local $sum_part2_2 v128)
    (local $sum_part3_2 v128)
    (local $f.0 v128)
    (local $scores v128)
    (local $sum v128)
    (local $sum_2 v128)
    (local $reciprocal v128)
    (local $f.1 v128)
    (local $multiply v128)
    (local $multiply_2 v128)
    (local.set $scores.base (i32.load offset=0 (local.get $table)))
    (local.set $fractions.base (i32.load offset=4 (local.get $table)))
    (local.set $d_loss.base (i32.load offset=8 (local.get $table)))
    (local.set $d_scores.base (i32.load offset=12 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=16 (local.get $table))))
    (local.set $f.0 (global.get $f.0))
    (local.set $f.1 (global.get $f.1))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $scores.at (i32.add (local.get $scores.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $fractions.at (i32.add (local.get $fractions.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $d_loss.at (i32.add (local.get $d_loss.base) (i32.mul (local.get $row) (i32.const 4))))
          (local.set $d_scores.at (i32.add (local.get $d_scores.base) (i32.mul (local.get $row) (i32.const 64))))
          ;; phase 1: sum of the row, sum of the row
          (local.set $sum_part0 (local.get $f.0))
          (local.set $sum_part1 (local.get $f.0))
          (local.set $sum_part2 (local.get $f.0))
          (local.set $sum_part3 (local.get $f.0))
          (local.set $sum_part0_2 (local.get $f.0))
          (local.set $sum_part1_2 (local.get $f.0))
          (local.set $sum_part2_2 (local.get $f.0))
          (local.set $sum_part3_2 (local.get $f.0))
          (local.set $lane (i32.const 0))
          (loop $single1
            (local.set $scores (v128.load (i32.add (local.get $scores.at) (local.get $lane))))
            (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $scores)))
            (local.set $sum_part0_2 (f32x4.add (local.get $sum_part0_2) (f32x4.mul (local.get $scores) (v128.load (i32.add (local.get $fractions.at) (local.get $lane))))))
            (br_if $single1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 32))))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part1)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part2)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part3)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $sum_part0) (local.get $sum_part0))))
          (local.set $sum (f32x4.add (local.get $sum_part0) (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11 (local.get $sum_part0) (local.get $sum_part0))))
          (local.set $sum_part0_2 (f32x4.add (local.get $sum_part0_2) (local.get $sum_part1_2)))
          (local.set $sum_part0_2 (f32x4.add (local.get $sum_part0_2) (local.get $sum_part2_2)))
          (local.set $sum_part0_2 (f32x4.add (local.get $sum_part0_2) (local.get $sum_part3_2)))
          (local.set $sum_part0_2 (f32x4.add (local.get $sum_part0_2) (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $sum_part0_2) (local.get $sum_part0_2))))
          (local.set $sum_2 (f32x4.add (local.get $sum_part0_2) (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11 (local.get $sum_part0_2) (local.get $sum_part0_2))))
          ;; phase 2: d_scores
          (local.set $reciprocal (f32x4.div (local.get $f.1) (local.get $sum)))
          (local.set $multiply (f32x4.mul (local.get $reciprocal) (local.get $sum_2)))
          (local.set $multiply_2 (f32x4.mul (local.get $reciprocal) (v128.load32_splat (local.get $d_loss.at))))
          (local.set $lane (i32.const 0))
          (loop $single2
            (v128.store (i32.add (local.get $d_scores.at) (local.get $lane)) (f32x4.mul (f32x4.sub (v128.load (i32.add (local.get $fractions.at) (local.get $lane))) (local.get $multiply)) (local.get $multiply_2)))
            (br_if $single2 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 32))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
