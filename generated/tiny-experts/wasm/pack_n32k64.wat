;; pack_n32k64: Transposes a weight into panels of 16 outputs for the forward product.
;;
;; formula:  panels[p, k, j] = weight[16 p + j, k]
;; source:   packing of matmul operands: Goto and van de Geijn, doi:10.1145/1356052.1356053
;; operands: weight  f32 rows of 64, 80 values apart
;;           panels  f32 in panels of 16, 64 deep
;; tile:     16 panels
;; chosen:   the product reads 16 outputs side by side; a weight has them in 16 rows
;; used by:  mtp[0].projection fprop (model.mtp)
;; spec:     tiny-experts
;; template: templates/wasm/pack.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  ;; panel[k][j] = source[j][k] for 16 rows j, 320 bytes apart, and `depth` columns k, four at a time.
  ;; Where fewer than 16 rows are left the last one is repeated: what comes of it lies in padding.
  (func $pack_n32k64.transpose (param $source i32) (param $panel i32) (param $rows i32) (param $depth i32)
    (local $j i32) (local $k i32) (local $last i32) (local $to i32)
    (local $row0 i32) (local $row1 i32) (local $row2 i32) (local $row3 i32)
    (local $r0 v128) (local $r1 v128) (local $r2 v128) (local $r3 v128)
    (local $low0 v128) (local $low1 v128) (local $high0 v128) (local $high1 v128)
    (local.set $last (i32.add (local.get $source) (i32.mul (i32.sub (local.get $rows) (i32.const 1)) (i32.const 320))))
    (loop $next_rows
      (local.set $row0 (i32.add (local.get $source) (i32.mul (local.get $j) (i32.const 320))))
      (local.set $row1 (i32.add (local.get $row0) (i32.const 320)))
      (local.set $row2 (i32.add (local.get $row1) (i32.const 320)))
      (local.set $row3 (i32.add (local.get $row2) (i32.const 320)))
      (if (i32.gt_u (local.get $row0) (local.get $last)) (then (local.set $row0 (local.get $last))))
      (if (i32.gt_u (local.get $row1) (local.get $last)) (then (local.set $row1 (local.get $last))))
      (if (i32.gt_u (local.get $row2) (local.get $last)) (then (local.set $row2 (local.get $last))))
      (if (i32.gt_u (local.get $row3) (local.get $last)) (then (local.set $row3 (local.get $last))))
      (local.set $to (i32.add (local.get $panel) (i32.shl (local.get $j) (i32.const 2))))
      (local.set $k (i32.const 0))
      (loop $next_columns
        (local.set $r0 (v128.load (local.get $row0)))
        (local.set $r1 (v128.load (local.get $row1)))
        (local.set $r2 (v128.load (local.get $row2)))
        (local.set $r3 (v128.load (local.get $row3)))
        (local.set $low0 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $r0) (local.get $r1)))
        (local.set $high0 (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $r0) (local.get $r1)))
        (local.set $low1 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $r2) (local.get $r3)))
        (local.set $high1 (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $r2) (local.get $r3)))
        (v128.store (local.get $to) (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $low0) (local.get $low1)))
        (v128.store offset=64 (local.get $to) (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $low0) (local.get $low1)))
        (v128.store offset=128 (local.get $to) (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $high0) (local.get $high1)))
        (v128.store offset=192 (local.get $to) (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $high0) (local.get $high1)))
        (local.set $row0 (i32.add (local.get $row0) (i32.const 16)))
        (local.set $row1 (i32.add (local.get $row1) (i32.const 16)))
        (local.set $row2 (i32.add (local.get $row2) (i32.const 16)))
        (local.set $row3 (i32.add (local.get $row3) (i32.const 16)))
        (local.set $to (i32.add (local.get $to) (i32.const 256)))
        (br_if $next_columns (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 4))) (local.get $depth))))
      (br_if $next_rows (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 4))) (i32.const 16)))))
  (func (export "pack_n32k64") (param $table i32) (param $begin i32) (param $end i32)
    (local $weight i32) (local $panels i32) (local $panel i32) (local $panel_end i32) (local $row i32)
    (local.set $weight (i32.load (local.get $table)))
    (local.set $panels (i32.load offset=4 (local.get $table)))
    (local.set $panel (i32.mul (local.get $begin) (i32.const 16)))
    (local.set $panel_end (i32.mul (local.get $end) (i32.const 16)))
    (if (i32.gt_u (local.get $panel_end) (i32.const 2)) (then (local.set $panel_end (i32.const 2))))
    (loop $next_panel
      ;; the panel's first row in its matrix of 32 rows
      (local.set $row (i32.shl (i32.rem_u (local.get $panel) (i32.const 2)) (i32.const 4)))
      (call $pack_n32k64.transpose
        (i32.add (local.get $weight) (i32.mul
          (i32.add (local.get $row) (i32.mul (i32.div_u (local.get $panel) (i32.const 2)) (i32.const 32)))
          (i32.const 320)))
        (i32.add (local.get $panels) (i32.mul (local.get $panel) (i32.const 4096)))
        (i32.sub (i32.const 32) (local.get $row))
        (i32.const 64))
      (br_if $next_panel (i32.lt_u (local.tee $panel (i32.add (local.get $panel) (i32.const 1))) (local.get $panel_end))))))
