;; sum_squares_w24: Adds the squares of the elements of each chunk of rows.
;;
;; formula:  parts[tile] = Σ x * x over the rows of the tile
;; source:   sums in chunks that depend on shape alone
;; operands: x      f32 rows of 24, 48 values apart
;;           parts  f32 vector
;;           count  i32, rows of this run
;; tile:     512 rows
;; chosen:   one number from many: partial sums of fixed chunks, combined in order
;; used by:  update update (train.clip)
;; spec:     tiny-experts
;; template: templates/wasm/reduce-partial.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "sum_squares_w24") (param $table i32) (param $begin i32) (param $end i32)
    (local $x i32) (local $out i32) (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $at i32) (local $at_end i32)
    (local $value v128) (local $part0 v128) (local $part1 v128) (local $part2 v128) (local $part3 v128)
    (local.set $x (i32.load (local.get $table)))
    (local.set $out (i32.load offset=4 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=8 (local.get $table))))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (local.set $part0 (v128.const f32x4 0 0 0 0))
      (local.set $part1 (v128.const f32x4 0 0 0 0))
      (local.set $part2 (v128.const f32x4 0 0 0 0))
      (local.set $part3 (v128.const f32x4 0 0 0 0))
      (loop $next_row
        (local.set $at (i32.add (local.get $x) (i32.mul (local.get $row) (i32.const 192))))
        (local.set $at_end (i32.add (local.get $at) (i32.const 64)))
        (loop $passes
          (local.set $value (v128.load (local.get $at)))
          (local.set $part0 (f32x4.add (local.get $part0) (f32x4.mul (local.get $value) (local.get $value))))
          (local.set $value (v128.load offset=16 (local.get $at)))
          (local.set $part1 (f32x4.add (local.get $part1) (f32x4.mul (local.get $value) (local.get $value))))
          (local.set $value (v128.load offset=32 (local.get $at)))
          (local.set $part2 (f32x4.add (local.get $part2) (f32x4.mul (local.get $value) (local.get $value))))
          (local.set $value (v128.load offset=48 (local.get $at)))
          (local.set $part3 (f32x4.add (local.get $part3) (f32x4.mul (local.get $value) (local.get $value))))
          (br_if $passes (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 64))) (local.get $at_end))))
        (local.set $at_end (i32.add (local.get $at) (i32.const 32)))
        (loop $single
          (local.set $value (v128.load (local.get $at)))
          (local.set $part0 (f32x4.add (local.get $part0) (f32x4.mul (local.get $value) (local.get $value))))
          (br_if $single (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $at_end))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (local.set $part0 (f32x4.add (f32x4.add (local.get $part0) (local.get $part1)) (f32x4.add (local.get $part2) (local.get $part3))))
      (f32.store (i32.add (local.get $out) (i32.shl (local.get $tile) (i32.const 2)))
        (f32.add
          (f32.add (f32x4.extract_lane 0 (local.get $part0)) (f32x4.extract_lane 1 (local.get $part0)))
          (f32.add (f32x4.extract_lane 2 (local.get $part0)) (f32x4.extract_lane 3 (local.get $part0)))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end))))))
