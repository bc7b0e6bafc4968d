;; move_choice_bias_w8_vector: Moves the bias of experts with less than the mean load up, of those with more down.
;;
;; formula:  let even = sum(load) / columns; y = if(finite != 0, bias + if(load < even, rate, if(even < load, -rate, 0)), bias)
;; source:   Wang et al., arXiv:2408.15664, algorithm 1; DeepSeek-V3, arXiv:2412.19437, section 2.1.2
;; operands: bias    f32 vector
;;           load    f32 vector
;;           rate    f32 scalar
;;           finite  f32 scalar
;;           count   i32, rows of this run
;; tile:     512 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[1..2].ffn.router update (model.ffn.router.bias_update)
;;           mtp[0].ffn.router update (model.ffn.router.bias_update)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (global $f.0 (mut v128) (v128.const f32x4 0 0 0 0))
  (global $f.1 (mut v128) (v128.const f32x4 1 1 1 1))
  (global $f.8 (mut v128) (v128.const f32x4 8 8 8 8))
  (func (export "move_choice_bias_w8_vector") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $bias.base i32)
    (local $load.base i32)
    (local $rate.base i32)
    (local $finite.base i32)
    (local $equal v128)
    (local $f.0 v128)
    (local $not v128)
    (local $reciprocal v128)
    (local $f.1 v128)
    (local $f.8 v128)
    (local $rate v128)
    (local $negate v128)
    (local $bias.at i32)
    (local $load.at i32)
    (local $y.at i32)
    (local $sum_part0 v128)
    (local $sum_part1 v128)
    (local $sum_part2 v128)
    (local $sum_part3 v128)
    (local $sum v128)
    (local $even v128)
    (local $bias v128)
    (local $load v128)
    (local.set $bias.base (i32.load offset=0 (local.get $table)))
    (local.set $load.base (i32.load offset=4 (local.get $table)))
    (local.set $rate.base (i32.load offset=8 (local.get $table)))
    (local.set $finite.base (i32.load offset=12 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=16 (local.get $table))))
    (local.set $f.0 (global.get $f.0))
    (local.set $f.1 (global.get $f.1))
    (local.set $f.8 (global.get $f.8))
    ;; the same for every row
    (local.set $equal (f32x4.eq (v128.load32_splat (local.get $finite.base)) (local.get $f.0)))
    (local.set $not (v128.not (local.get $equal)))
    (local.set $reciprocal (f32x4.div (local.get $f.1) (local.get $f.8)))
    (local.set $rate (v128.load32_splat (local.get $rate.base)))
    (local.set $negate (f32x4.neg (local.get $rate)))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $bias.at (i32.add (local.get $bias.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $load.at (i32.add (local.get $load.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $y.at (i32.add (local.get $bias.base) (i32.mul (local.get $row) (i32.const 64))))
          ;; phase 1: sum of the row
          (local.set $sum_part0 (local.get $f.0))
          (local.set $sum_part1 (local.get $f.0))
          (local.set $sum_part2 (local.get $f.0))
          (local.set $sum_part3 (local.get $f.0))
          (local.set $lane (i32.const 0))
          (loop $single1
            (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (v128.load (i32.add (local.get $load.at) (local.get $lane)))))
            (br_if $single1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 32))))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part1)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part2)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part3)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $sum_part0) (local.get $sum_part0))))
          (local.set $sum (f32x4.add (local.get $sum_part0) (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11 (local.get $sum_part0) (local.get $sum_part0))))
          ;; phase 2: y
          (local.set $even (f32x4.mul (local.get $reciprocal) (local.get $sum)))
          (local.set $lane (i32.const 0))
          (loop $single2
            (local.set $bias (v128.load (i32.add (local.get $bias.at) (local.get $lane))))
            (local.set $load (v128.load (i32.add (local.get $load.at) (local.get $lane))))
            (v128.store (i32.add (local.get $y.at) (local.get $lane)) (v128.bitselect (f32x4.add (local.get $bias) (v128.bitselect (local.get $rate) (v128.bitselect (local.get $negate) (local.get $f.0) (f32x4.lt (local.get $even) (local.get $load))) (f32x4.lt (local.get $load) (local.get $even)))) (local.get $bias) (local.get $not)))
            (br_if $single2 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 32))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
