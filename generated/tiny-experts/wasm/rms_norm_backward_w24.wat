;; rms_norm_backward_w24: Gradients of rms_norm by x, gain.
;;
;; formula:  d_x = r * (gain * d_y - x * sum(x * gain * d_y) * r^2 / columns); d_gain = column_sum(x * d_y * r)
;; source:   gradient of Zhang and Sennrich, arXiv:1910.07467
;; operands: x             f32 rows of 24, 48 values apart
;;           gain          f32 vector
;;           r             f32 vector
;;           d_y           f32 rows of 24, 48 values apart
;;           d_x           f32 rows of 24, 48 values apart
;;           d_gain_parts  f32 rows of 24, 48 values apart
;;           count         i32, rows of this run
;; tile:     128 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[0..2].attention.q_norm dgrad (model.norm)
;;           mtp[0].attention.q_norm dgrad (model.norm)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (global $f.1 (mut v128) (v128.const f32x4 1 1 1 1))
  (global $f.24 (mut v128) (v128.const f32x4 24 24 24 24))
  (global $f.0 (mut v128) (v128.const f32x4 0 0 0 0))
  (func (export "rms_norm_backward_w24") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $x.base i32)
    (local $gain.base i32)
    (local $r.base i32)
    (local $d_y.base i32)
    (local $d_x.base i32)
    (local $d_gain_parts.base i32)
    (local $reciprocal v128)
    (local $f.1 v128)
    (local $f.24 v128)
    (local $d_gain.sums i32)
    (local $x.at i32)
    (local $r.at i32)
    (local $d_y.at i32)
    (local $d_x.at i32)
    (local $r v128)
    (local $sum_part0 v128)
    (local $sum_part1 v128)
    (local $sum_part2 v128)
    (local $sum_part3 v128)
    (local $f.0 v128)
    (local $x v128)
    (local $d_y v128)
    (local $x_2 v128)
    (local $d_y_2 v128)
    (local $x_3 v128)
    (local $d_y_3 v128)
    (local $x_4 v128)
    (local $d_y_4 v128)
    (local $x_5 v128)
    (local $d_y_5 v128)
    (local $sum v128)
    (local $multiply v128)
    (local.set $x.base (i32.load offset=0 (local.get $table)))
    (local.set $gain.base (i32.load offset=4 (local.get $table)))
    (local.set $r.base (i32.load offset=8 (local.get $table)))
    (local.set $d_y.base (i32.load offset=12 (local.get $table)))
    (local.set $d_x.base (i32.load offset=16 (local.get $table)))
    (local.set $d_gain_parts.base (i32.load offset=20 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=24 (local.get $table))))
    (local.set $f.1 (global.get $f.1))
    (local.set $f.24 (global.get $f.24))
    (local.set $f.0 (global.get $f.0))
    ;; the same for every row
    (local.set $reciprocal (f32x4.div (local.get $f.1) (local.get $f.24)))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 128)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 128)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (local.set $d_gain.sums (i32.add (local.get $d_gain_parts.base) (i32.mul (local.get $tile) (i32.const 192))))
      (memory.fill (local.get $d_gain.sums) (i32.const 0) (i32.const 192))
      (loop $next_row
          (local.set $x.at (i32.add (local.get $x.base) (i32.mul (local.get $row) (i32.const 192))))
          (local.set $r.at (i32.add (local.get $r.base) (i32.mul (local.get $row) (i32.const 4))))
          (local.set $d_y.at (i32.add (local.get $d_y.base) (i32.mul (local.get $row) (i32.const 192))))
          (local.set $d_x.at (i32.add (local.get $d_x.base) (i32.mul (local.get $row) (i32.const 192))))
          ;; phase 1: sum of the row, sums of d_gain
          (local.set $r (v128.load32_splat (local.get $r.at)))
          (local.set $sum_part0 (local.get $f.0))
          (local.set $sum_part1 (local.get $f.0))
          (local.set $sum_part2 (local.get $f.0))
          (local.set $sum_part3 (local.get $f.0))
          (local.set $lane (i32.const 0))
          (loop $vectors1
            (local.set $x (v128.load (i32.add (local.get $x.at) (local.get $lane))))
            (local.set $d_y (v128.load (i32.add (local.get $d_y.at) (local.get $lane))))
            (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (f32x4.mul (local.get $x) (f32x4.mul (v128.load (i32.add (local.get $gain.base) (local.get $lane))) (local.get $d_y)))))
            (v128.store (i32.add (local.get $d_gain.sums) (local.get $lane)) (f32x4.add (v128.load (i32.add (local.get $d_gain.sums) (local.get $lane))) (f32x4.mul (f32x4.mul (local.get $d_y) (local.get $x)) (local.get $r))))
            ;; lanes 4 to 7 of this pass
            (local.set $x_2 (v128.load offset=16 (i32.add (local.get $x.at) (local.get $lane))))
            (local.set $d_y_2 (v128.load offset=16 (i32.add (local.get $d_y.at) (local.get $lane))))
            (local.set $sum_part1 (f32x4.add (local.get $sum_part1) (f32x4.mul (local.get $x_2) (f32x4.mul (v128.load offset=16 (i32.add (local.get $gain.base) (local.get $lane))) (local.get $d_y_2)))))
            (v128.store offset=16 (i32.add (local.get $d_gain.sums) (local.get $lane)) (f32x4.add (v128.load offset=16 (i32.add (local.get $d_gain.sums) (local.get $lane))) (f32x4.mul (f32x4.mul (local.get $d_y_2) (local.get $x_2)) (local.get $r))))
            ;; lanes 8 to 11 of this pass
            (local.set $x_3 (v128.load offset=32 (i32.add (local.get $x.at) (local.get $lane))))
            (local.set $d_y_3 (v128.load offset=32 (i32.add (local.get $d_y.at) (local.get $lane))))
            (local.set $sum_part2 (f32x4.add (local.get $sum_part2) (f32x4.mul (local.get $x_3) (f32x4.mul (v128.load offset=32 (i32.add (local.get $gain.base) (local.get $lane))) (local.get $d_y_3)))))
            (v128.store offset=32 (i32.add (local.get $d_gain.sums) (local.get $lane)) (f32x4.add (v128.load offset=32 (i32.add (local.get $d_gain.sums) (local.get $lane))) (f32x4.mul (f32x4.mul (local.get $d_y_3) (local.get $x_3)) (local.get $r))))
            ;; lanes 12 to 15 of this pass
            (local.set $x_4 (v128.load offset=48 (i32.add (local.get $x.at) (local.get $lane))))
            (local.set $d_y_4 (v128.load offset=48 (i32.add (local.get $d_y.at) (local.get $lane))))
            (local.set $sum_part3 (f32x4.add (local.get $sum_part3) (f32x4.mul (local.get $x_4) (f32x4.mul (v128.load offset=48 (i32.add (local.get $gain.base) (local.get $lane))) (local.get $d_y_4)))))
            (v128.store offset=48 (i32.add (local.get $d_gain.sums) (local.get $lane)) (f32x4.add (v128.load offset=48 (i32.add (local.get $d_gain.sums) (local.get $lane))) (f32x4.mul (f32x4.mul (local.get $d_y_4) (local.get $x_4)) (local.get $r))))
            (br_if $vectors1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 64))) (i32.const 64))))
          (local.set $lane (i32.const 64))
          (loop $single1
            (local.set $x_5 (v128.load (i32.add (local.get $x.at) (local.get $lane))))
            (local.set $d_y_5 (v128.load (i32.add (local.get $d_y.at) (local.get $lane))))
            (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (f32x4.mul (local.get $x_5) (f32x4.mul (v128.load (i32.add (local.get $gain.base) (local.get $lane))) (local.get $d_y_5)))))
            (v128.store (i32.add (local.get $d_gain.sums) (local.get $lane)) (f32x4.add (v128.load (i32.add (local.get $d_gain.sums) (local.get $lane))) (f32x4.mul (f32x4.mul (local.get $d_y_5) (local.get $x_5)) (local.get $r))))
            (br_if $single1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 96))))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part1)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part2)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part3)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $sum_part0) (local.get $sum_part0))))
          (local.set $sum (f32x4.add (local.get $sum_part0) (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11 (local.get $sum_part0) (local.get $sum_part0))))
          ;; phase 2: d_x
          (local.set $multiply (f32x4.mul (f32x4.mul (f32x4.mul (local.get $reciprocal) (local.get $r)) (local.get $r)) (local.get $sum)))
          (local.set $lane (i32.const 0))
          (loop $vectors2
            (v128.store (i32.add (local.get $d_x.at) (local.get $lane)) (f32x4.mul (f32x4.sub (f32x4.mul (v128.load (i32.add (local.get $gain.base) (local.get $lane))) (v128.load (i32.add (local.get $d_y.at) (local.get $lane)))) (f32x4.mul (v128.load (i32.add (local.get $x.at) (local.get $lane))) (local.get $multiply))) (local.get $r)))
            (v128.store offset=16 (i32.add (local.get $d_x.at) (local.get $lane)) (f32x4.mul (f32x4.sub (f32x4.mul (v128.load offset=16 (i32.add (local.get $gain.base) (local.get $lane))) (v128.load offset=16 (i32.add (local.get $d_y.at) (local.get $lane)))) (f32x4.mul (v128.load offset=16 (i32.add (local.get $x.at) (local.get $lane))) (local.get $multiply))) (local.get $r)))
            (v128.store offset=32 (i32.add (local.get $d_x.at) (local.get $lane)) (f32x4.mul (f32x4.sub (f32x4.mul (v128.load offset=32 (i32.add (local.get $gain.base) (local.get $lane))) (v128.load offset=32 (i32.add (local.get $d_y.at) (local.get $lane)))) (f32x4.mul (v128.load offset=32 (i32.add (local.get $x.at) (local.get $lane))) (local.get $multiply))) (local.get $r)))
            (v128.store offset=48 (i32.add (local.get $d_x.at) (local.get $lane)) (f32x4.mul (f32x4.sub (f32x4.mul (v128.load offset=48 (i32.add (local.get $gain.base) (local.get $lane))) (v128.load offset=48 (i32.add (local.get $d_y.at) (local.get $lane)))) (f32x4.mul (v128.load offset=48 (i32.add (local.get $x.at) (local.get $lane))) (local.get $multiply))) (local.get $r)))
            (br_if $vectors2 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 64))) (i32.const 64))))
          (local.set $lane (i32.const 64))
          (loop $single2
            (v128.store (i32.add (local.get $d_x.at) (local.get $lane)) (f32x4.mul (f32x4.sub (f32x4.mul (v128.load (i32.add (local.get $gain.base) (local.get $lane))) (v128.load (i32.add (local.get $d_y.at) (local.get $lane)))) (f32x4.mul (v128.load (i32.add (local.get $x.at) (local.get $lane))) (local.get $multiply))) (local.get $r)))
            (br_if $single2 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 96))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
