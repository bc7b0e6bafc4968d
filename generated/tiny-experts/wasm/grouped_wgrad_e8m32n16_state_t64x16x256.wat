;; grouped_wgrad_e8m32n16_state_t64x16x256: For each expert the product over its own rows; an expert without rows adds nothing.
;;
;; formula:  out[e, m, n] = Σ_r d_y[r, m] · x[r, n] over the rows r of expert e + out unless first, in ascending r, in blocks of 256
;; source:   grouped products: Gale et al., arXiv:2211.15841
;; operands: d_y    f32 rows of 32, 48 values apart
;;           x      f32 rows of 16, 16 values apart
;;           start  i32 vector
;;           count  i32 vector
;;           out    f32 rows of 16, 16 values apart
;;           first  f32 scalar
;; tile:     64 rows of one expert's matrix by 16 columns, contraction in blocks of 256; registers hold 2 by 16
;; chosen:   tiles of one expert's weight each
;; used by:  layers[1..2].ffn.experts.down wgrad (model.ffn.experts)
;;           mtp[0].ffn.experts.down wgrad (model.ffn.experts)
;; spec:     tiny-experts
;; template: templates/wasm/grouped-wgrad.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (import "mspec" "scratch" (global $scratch i32))
  ;; out[rows, 16 panels] = source + Σ_k a(i, k) · b(k, j), two rows by 16 columns at a time; a source of 0 means none.
  ;; a(i, k) stands 4 bytes per i and 192 per k; b(k, j) 64 bytes per k, its panels 64 bytes apart; rows of
  ;; out and source are 64 bytes apart. Where the rows are odd in number, which only the last tile's
  ;; are, the row behind is computed as well: every buffer has room for it.
  (func $grouped_wgrad_e8m32n16_state_t64x16x256.product (param $a i32) (param $b i32) (param $out i32) (param $source i32) (param $rows i32) (param $panels i32) (param $depth i32)
    (local $row i32) (local $a_at i32) (local $b_at i32) (local $out_at i32) (local $to_source i32) (local $source_at i32) (local $a_next i32) (local $a_end i32) (local $x v128) (local $span i32)
    (local $b0 v128) (local $b1 v128) (local $b2 v128) (local $b3 v128)
    (local $c00 v128) (local $c01 v128) (local $c02 v128) (local $c03 v128)
    (local $c10 v128) (local $c11 v128) (local $c12 v128) (local $c13 v128)
    (local.set $to_source (i32.sub (local.get $source) (local.get $out)))
    (local.set $span (i32.mul (local.get $depth) (i32.const 192)))
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
          (local.set $x (v128.load32_splat offset=4 (local.get $a_at)))
          (local.set $c10 (f32x4.add (local.get $c10) (f32x4.mul (local.get $x) (local.get $b0))))
          (local.set $c11 (f32x4.add (local.get $c11) (f32x4.mul (local.get $x) (local.get $b1))))
          (local.set $c12 (f32x4.add (local.get $c12) (f32x4.mul (local.get $x) (local.get $b2))))
          (local.set $c13 (f32x4.add (local.get $c13) (f32x4.mul (local.get $x) (local.get $b3))))
          (local.set $b_at (i32.add (local.get $b_at) (i32.const 64)))
          (br_if $next_k (i32.lt_u (local.tee $a_at (i32.add (local.get $a_at) (i32.const 192))) (local.get $a_end))))
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
        (local.set $a_next (i32.add (local.get $a_next) (i32.const 8)))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 2))) (local.get $rows))))
      (local.set $b (i32.add (local.get $b) (i32.const 64)))
      (local.set $out (i32.add (local.get $out) (i32.const 64)))
      (br_if $next_panel (local.tee $panels (i32.sub (local.get $panels) (i32.const 1))))))
  ;; The whole contraction of some rows of one expert's matrix, block by block; a source of 0 means none.
  (func $grouped_wgrad_e8m32n16_state_t64x16x256.rows (param $a i32) (param $b i32) (param $out i32) (param $source i32) (param $rows i32) (param $panels i32) (param $depth i32)
    (local $k i32) (local $k_end i32)
    (loop $next_block
      (local.set $k_end (i32.add (local.get $k) (i32.const 256)))
      (if (i32.gt_u (local.get $k_end) (local.get $depth)) (then (local.set $k_end (local.get $depth))))
      (call $grouped_wgrad_e8m32n16_state_t64x16x256.product
        (i32.add (local.get $a) (i32.mul (local.get $k) (i32.const 192)))
        (i32.add (local.get $b) (i32.mul (local.get $k) (i32.const 64)))
        (local.get $out) (local.get $source) (local.get $rows) (local.get $panels)
        (i32.sub (local.get $k_end) (local.get $k)))
      (local.set $source (local.get $out))
      (br_if $next_block (i32.lt_u (local.tee $k (local.get $k_end)) (local.get $depth)))))

  ;; Tiles of 32 rows by 1 panels, expert by expert.
  (func (export "grouped_wgrad_e8m32n16_state_t64x16x256") (param $table i32) (param $begin i32) (param $end i32)
    (local $a i32) (local $b i32) (local $start i32) (local $count i32) (local $out i32) (local $keeps i32)
    (local $tile i32) (local $expert i32) (local $row i32) (local $row_end i32) (local $panel i32) (local $panel_end i32)
    (local $first i32) (local $depth i32) (local $a_at i32) (local $b_at i32) (local $out_at i32) (local $bytes i32) (local $even i32)
    (local.set $a (i32.load (local.get $table)))
    (local.set $b (i32.load offset=4 (local.get $table)))
    (local.set $start (i32.load offset=8 (local.get $table)))
    (local.set $count (i32.load offset=12 (local.get $table)))
    (local.set $out (i32.load offset=16 (local.get $table)))
    ;; The output holds the state, unless the flag says that this is the first micro-batch of a step.
    (local.set $keeps (f32.eq (f32.load (i32.load offset=20 (local.get $table))) (f32.const 0)))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $panel (i32.mul (i32.rem_u (local.get $tile) (i32.const 1)) (i32.const 1)))
      (local.set $panel_end (i32.add (local.get $panel) (i32.const 1)))
      (if (i32.gt_u (local.get $panel_end) (i32.const 1)) (then (local.set $panel_end (i32.const 1))))
      (local.set $row (i32.div_u (local.get $tile) (i32.const 1)))
      (local.set $expert (i32.div_u (local.get $row) (i32.const 1)))
      (local.set $row (i32.mul (i32.rem_u (local.get $row) (i32.const 1)) (i32.const 64)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 64)))
      (if (i32.gt_u (local.get $row_end) (i32.const 32)) (then (local.set $row_end (i32.const 32))))
      (local.set $first (i32.load (i32.add (local.get $start) (i32.shl (local.get $expert) (i32.const 2)))))
      (local.set $depth (i32.load (i32.add (local.get $count) (i32.shl (local.get $expert) (i32.const 2)))))
      (local.set $bytes (i32.shl (i32.sub (local.get $panel_end) (local.get $panel)) (i32.const 6)))
      (local.set $out_at (i32.add (i32.add (local.get $out) (i32.shl (local.get $panel) (i32.const 6)))
        (i32.mul (i32.add (i32.mul (local.get $expert) (i32.const 32)) (local.get $row)) (i32.const 64))))
      (if (local.get $depth)
        (then
          (local.set $a_at (i32.add (local.get $a) (i32.add (i32.shl (local.get $row) (i32.const 2)) (i32.mul (local.get $first) (i32.const 192)))))
          (local.set $b_at (i32.add (local.get $b) (i32.add (i32.shl (local.get $panel) (i32.const 6)) (i32.mul (local.get $first) (i32.const 64)))))
          (local.set $even (i32.and (i32.sub (local.get $row_end) (local.get $row)) (i32.const -2)))
          (if (local.get $even) (then
            (call $grouped_wgrad_e8m32n16_state_t64x16x256.rows (local.get $a_at) (local.get $b_at) (local.get $out_at)
              (select (local.get $out_at) (i32.const 0) (local.get $keeps))
              (local.get $even) (i32.sub (local.get $panel_end) (local.get $panel)) (local.get $depth))))
          ;; Products write rows in pairs, and behind an odd last row begins the next expert's matrix.
          (if (i32.and (i32.sub (local.get $row_end) (local.get $row)) (i32.const 1)) (then
            (local.set $out_at (i32.add (local.get $out_at) (i32.mul (local.get $even) (i32.const 64))))
            (call $grouped_wgrad_e8m32n16_state_t64x16x256.rows
              (i32.add (local.get $a_at) (i32.shl (local.get $even) (i32.const 2))) (local.get $b_at) (global.get $scratch)
              (select (local.get $out_at) (i32.const 0) (local.get $keeps))
              (i32.const 1) (i32.sub (local.get $panel_end) (local.get $panel)) (local.get $depth))
            (memory.copy (local.get $out_at) (global.get $scratch) (local.get $bytes)))))
        (else
          (if (i32.eqz (local.get $keeps)) (then
            (loop $clear_row
              (memory.fill (local.get $out_at) (i32.const 0) (local.get $bytes))
              (local.set $out_at (i32.add (local.get $out_at) (i32.const 64)))
              (br_if $clear_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end))))))
