;; rms_norm_w16: Scales every row to root mean square 1, then by a gain per column.
;;
;; formula:  let scale = rsqrt(sum(x^2) / columns + 0.00001); y = x * gain * rsqrt(sum(x^2) / columns + 0.00001); r = rsqrt(sum(x^2) / columns + 0.00001)
;; source:   Zhang and Sennrich, arXiv:1910.07467
;; operands: x      f32 rows of 16, 16 values apart
;;           gain   f32 vector
;;           y      f32 rows of 16, 16 values apart
;;           r      f32 vector
;;           count  i32, rows of this run
;; tile:     512 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[0..2].attention.kv_norm fprop (model.norm)
;;           mtp[0].attention.kv_norm fprop (model.norm)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (global $f.1 (mut v128) (v128.const f32x4 1 1 1 1))
  (global $f.16 (mut v128) (v128.const f32x4 16 16 16 16))
  (global $f.0 (mut v128) (v128.const f32x4 0 0 0 0))
  (global $f.0.00001 (mut v128) (v128.const f32x4 0.00001 0.00001 0.00001 0.00001))
  (func (export "rms_norm_w16") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $x.base i32)
    (local $gain.base i32)
    (local $y.base i32)
    (local $r.base i32)
    (local $reciprocal v128)
    (local $f.1 v128)
    (local $f.16 v128)
    (local $x.at i32)
    (local $y.at i32)
    (local $r.at i32)
    (local $sum_part0 v128)
    (local $sum_part1 v128)
    (local $sum_part2 v128)
    (local $sum_part3 v128)
    (local $f.0 v128)
    (local $x v128)
    (local $x_2 v128)
    (local $x_3 v128)
    (local $x_4 v128)
    (local $sum v128)
    (local $scale v128)
    (local $f.0.00001 v128)
    (local.set $x.base (i32.load offset=0 (local.get $table)))
    (local.set $gain.base (i32.load offset=4 (local.get $table)))
    (local.set $y.base (i32.load offset=8 (local.get $table)))
    (local.set $r.base (i32.load offset=12 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=16 (local.get $table))))
    (local.set $f.1 (global.get $f.1))
    (local.set $f.16 (global.get $f.16))
    (local.set $f.0 (global.get $f.0))
    (local.set $f.0.00001 (global.get $f.0.00001))
    ;; the same for every row
    (local.set $reciprocal (f32x4.div (local.get $f.1) (local.get $f.16)))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $x.at (i32.add (local.get $x.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $y.at (i32.add (local.get $y.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $r.at (i32.add (local.get $r.base) (i32.mul (local.get $row) (i32.const 4))))
          ;; phase 1: sum of the row
          (local.set $sum_part0 (local.get $f.0))
          (local.set $sum_part1 (local.get $f.0))
          (local.set $sum_part2 (local.get $f.0))
          (local.set $sum_part3 (local.get $f.0))
          (local.set $lane (i32.const 0))
          (loop $vectors1
            (local.set $x (v128.load (i32.add (local.get $x.at) (local.get $lane))))
            (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (f32x4.mul (local.get $x) (local.get $x))))
            (local.set $x_2 (v128.load offset=16 (i32.add (local.get $x.at) (local.get $lane))))
            (local.set $sum_part1 (f32x4.add (local.get $sum_part1) (f32x4.mul (local.get $x_2) (local.get $x_2))))
            (local.set $x_3 (v128.load offset=32 (i32.add (local.get $x.at) (local.get $lane))))
            (local.set $sum_part2 (f32x4.add (local.get $sum_part2) (f32x4.mul (local.get $x_3) (local.get $x_3))))
            (local.set $x_4 (v128.load offset=48 (i32.add (local.get $x.at) (local.get $lane))))
            (local.set $sum_part3 (f32x4.add (local.get $sum_part3) (f32x4.mul (local.get $x_4) (local.get $x_4))))
            (br_if $vectors1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 64))) (i32.const 64))))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part1)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part2)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (local.get $sum_part3)))
          (local.set $sum_part0 (f32x4.add (local.get $sum_part0) (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $sum_part0) (local.get $sum_part0))))
          (local.set $sum (f32x4.add (local.get $sum_part0) (i8x16.shuffle 4 5 6 7 0 1 2 3 12 13 14 15 8 9 10 11 (local.get $sum_part0) (local.get $sum_part0))))
          ;; phase 2: r, y
          (local.set $scale (f32x4.div (local.get $f.1) (f32x4.sqrt (f32x4.add (local.get $f.0.00001) (f32x4.mul (local.get $reciprocal) (local.get $sum))))))
          (v128.store32_lane 0 (local.get $r.at) (local.get $scale))
          (local.set $lane (i32.const 0))
          (loop $vectors2
            (v128.store (i32.add (local.get $y.at) (local.get $lane)) (f32x4.mul (f32x4.mul (v128.load (i32.add (local.get $x.at) (local.get $lane))) (v128.load (i32.add (local.get $gain.base) (local.get $lane)))) (local.get $scale)))
            (v128.store offset=16 (i32.add (local.get $y.at) (local.get $lane)) (f32x4.mul (f32x4.mul (v128.load offset=16 (i32.add (local.get $x.at) (local.get $lane))) (v128.load offset=16 (i32.add (local.get $gain.base) (local.get $lane)))) (local.get $scale)))
            (v128.store offset=32 (i32.add (local.get $y.at) (local.get $lane)) (f32x4.mul (f32x4.mul (v128.load offset=32 (i32.add (local.get $x.at) (local.get $lane))) (v128.load offset=32 (i32.add (local.get $gain.base) (local.get $lane)))) (local.get $scale)))
            (v128.store offset=48 (i32.add (local.get $y.at) (local.get $lane)) (f32x4.mul (f32x4.mul (v128.load offset=48 (i32.add (local.get $x.at) (local.get $lane))) (v128.load offset=48 (i32.add (local.get $gain.base) (local.get $lane)))) (local.get $scale)))
            (br_if $vectors2 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 64))) (i32.const 64))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
