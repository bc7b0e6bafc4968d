;; grouped_matmul_nn_e8n32k16_t64x32x256: The product of each expert's rows with its own matrix; rows of nobody become 0.
;;
;; formula:  out[r, n] = Σ_k a[r, k] · b[e, k, n] for the rows r of expert e, in ascending k, in blocks of 256
;; source:   grouped products: Gale et al., arXiv:2211.15841
;; operands: a      f32 rows of 16, 16 values apart
;;           b      f32 rows of 32, 48 values apart
;;           start  i32 vector
;;           count  i32 vector
;;           out    f32 rows of 32, 48 values apart
;;           count  i32, rows of a and out of this run
;; tile:     64 rows of one expert by 32 columns, contraction in blocks of 256; registers hold 2 by 16
;; chosen:   tiles of rows of one expert each, and none for an expert without rows
;; used by:  layers[1..2].ffn.experts.gate dgrad (model.ffn.experts)
;;           layers[1..2].ffn.experts.up dgrad (model.ffn.experts)
;;           mtp[0].ffn.experts.gate dgrad (model.ffn.experts)
;;           mtp[0].ffn.experts.up dgrad (model.ffn.experts)
;; spec:     tiny-experts
;; template: templates/wasm/grouped-matmul.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  ;; out[rows, 16 panels] = source + Σ_k a(i, k) · b(k, j), two rows by 16 columns at a time; a source of 0 means none.
  ;; a(i, k) stands 64 bytes per i and 4 per k; b(k, j) 192 bytes per k, its panels 64 bytes apart; rows of
  ;; out and source are 192 bytes apart. Where the rows are odd in number, which only the last tile's
  ;; are, the row behind is computed as well: every buffer has room for it.
  (func $grouped_matmul_nn_e8n32k16_t64x32x256.product (param $a i32) (param $b i32) (param $out i32) (param $source i32) (param $rows i32) (param $panels i32) (param $depth i32)
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
          (local.set $x (v128.load32_splat offset=64 (local.get $a_at)))
          (local.set $c10 (f32x4.add (local.get $c10) (f32x4.mul (local.get $x) (local.get $b0))))
          (local.set $c11 (f32x4.add (local.get $c11) (f32x4.mul (local.get $x) (local.get $b1))))
          (local.set $c12 (f32x4.add (local.get $c12) (f32x4.mul (local.get $x) (local.get $b2))))
          (local.set $c13 (f32x4.add (local.get $c13) (f32x4.mul (local.get $x) (local.get $b3))))
          (local.set $b_at (i32.add (local.get $b_at) (i32.const 192)))
          (br_if $next_k (i32.lt_u (local.tee $a_at (i32.add (local.get $a_at) (i32.const 4))) (local.get $a_end))))
        (if (local.get $source) (then
          (local.set $source_at (i32.add (local.get $out_at) (local.get $to_source)))
          (local.set $c00 (f32x4.add (local.get $c00) (v128.load (local.get $source_at))))
          (local.set $c01 (f32x4.add (local.get $c01) (v128.load offset=16 (local.get $source_at))))
          (local.set $c02 (f32x4.add (local.get $c02) (v128.load offset=32 (local.get $source_at))))
          (local.set $c03 (f32x4.add (local.get $c03) (v128.load offset=48 (local.get $source_at))))
          (local.set $source_at (i32.add (local.get $source_at) (i32.const 192)))
          (local.set $c10 (f32x4.add (local.get $c10) (v128.load (local.get $source_at))))
          (local.set $c11 (f32x4.add (local.get $c11) (v128.load offset=16 (local.get $source_at))))
          (local.set $c12 (f32x4.add (local.get $c12) (v128.load offset=32 (local.get $source_at))))
          (local.set $c13 (f32x4.add (local.get $c13) (v128.load offset=48 (local.get $source_at))))
        ))
        (v128.store (local.get $out_at) (local.get $c00))
        (v128.store offset=16 (local.get $out_at) (local.get $c01))
        (v128.store offset=32 (local.get $out_at) (local.get $c02))
        (v128.store offset=48 (local.get $out_at) (local.get $c03))
        (local.set $out_at (i32.add (local.get $out_at) (i32.const 192)))
        (v128.store (local.get $out_at) (local.get $c10))
        (v128.store offset=16 (local.get $out_at) (local.get $c11))
        (v128.store offset=32 (local.get $out_at) (local.get $c12))
        (v128.store offset=48 (local.get $out_at) (local.get $c13))
        (local.set $out_at (i32.add (local.get $out_at) (i32.const 192)))
        (local.set $a_next (i32.add (local.get $a_next) (i32.const 128)))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 2))) (local.get $rows))))
      (local.set $b (i32.add (local.get $b) (i32.const 64)))
      (local.set $out (i32.add (local.get $out) (i32.const 64)))
      (br_if $next_panel (local.tee $panels (i32.sub (local.get $panels) (i32.const 1))))))
  ;; Row tiles are counted expert by expert; every one is of one expert. The tile behind the last one clears the rows that
  ;; are nobody's, and tiles behind that one have nothing to do.
  (func (export "grouped_matmul_nn_e8n32k16_t64x32x256") (param $table i32) (param $begin i32) (param $end i32)
    (local $a i32) (local $b i32) (local $start i32) (local $count i32) (local $out i32) (local $routed i32)
    (local $tile i32) (local $row_tile i32) (local $expert i32) (local $tiles_before i32) (local $tiles_here i32) (local $used i32)
    (local $row i32) (local $row_end i32) (local $panel i32) (local $panel_end i32) (local $b_at i32)
    (local $out_at i32) (local $source_at i32) (local $k i32) (local $k_end i32)
    (local.set $a (i32.load (local.get $table)))
    (local.set $b (i32.load offset=4 (local.get $table)))
    (local.set $start (i32.load offset=8 (local.get $table)))
    (local.set $count (i32.load offset=12 (local.get $table)))
    (local.set $out (i32.load offset=16 (local.get $table)))
    (local.set $routed (i32.load (i32.load offset=20 (local.get $table))))
    (local.set $tiles_here (i32.div_u (i32.add (i32.load (local.get $count)) (i32.const 63)) (i32.const 64)))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row_tile (i32.div_u (local.get $tile) (i32.const 1)))
      (block $found
        (loop $next_expert
          (br_if $found (i32.lt_u (local.get $row_tile) (i32.add (local.get $tiles_before) (local.get $tiles_here))))
          (br_if $found (i32.eq (local.get $expert) (i32.const 8)))
          (local.set $tiles_before (i32.add (local.get $tiles_before) (local.get $tiles_here)))
          (local.set $expert (i32.add (local.get $expert) (i32.const 1)))
          (local.set $tiles_here (i32.const 0))
          (if (i32.lt_u (local.get $expert) (i32.const 8)) (then
            (local.set $tiles_here (i32.div_u
              (i32.add (i32.load (i32.add (local.get $count) (i32.shl (local.get $expert) (i32.const 2)))) (i32.const 63))
              (i32.const 64)))))
          (br $next_expert)))
      (local.set $panel (i32.mul (i32.rem_u (local.get $tile) (i32.const 1)) (i32.const 2)))
      (if (i32.lt_u (local.get $expert) (i32.const 8))
        (then
          (local.set $row (i32.load (i32.add (local.get $start) (i32.shl (local.get $expert) (i32.const 2)))))
          (local.set $used (i32.add (local.get $row) (i32.load (i32.add (local.get $count) (i32.shl (local.get $expert) (i32.const 2))))))
          (local.set $row (i32.add (local.get $row)
            (i32.mul (i32.sub (local.get $row_tile) (local.get $tiles_before)) (i32.const 64))))
          (local.set $row_end (i32.add (local.get $row) (i32.const 64)))
          (if (i32.gt_u (local.get $row_end) (local.get $used)) (then (local.set $row_end (local.get $used))))
          (local.set $panel_end (i32.add (local.get $panel) (i32.const 2)))
          (if (i32.gt_u (local.get $panel_end) (i32.const 2)) (then (local.set $panel_end (i32.const 2))))
          (local.set $out_at (i32.add (local.get $out) (i32.add (i32.mul (local.get $row) (i32.const 192)) (i32.shl (local.get $panel) (i32.const 6)))))
          (local.set $b_at (i32.add (i32.add (local.get $b) (i32.mul (local.get $expert) (i32.const 3072)))
            (i32.mul (local.get $panel) (i32.const 64))))
          (local.set $source_at (i32.const 0))
          (local.set $k (i32.const 0))
          (loop $next_block
            (local.set $k_end (i32.add (local.get $k) (i32.const 256)))
            (if (i32.gt_u (local.get $k_end) (i32.const 16)) (then (local.set $k_end (i32.const 16))))
            (call $grouped_matmul_nn_e8n32k16_t64x32x256.product
              (i32.add (local.get $a) (i32.add (i32.mul (local.get $row) (i32.const 64)) (i32.mul (local.get $k) (i32.const 4))))
              (i32.add (local.get $b_at) (i32.mul (local.get $k) (i32.const 192)))
              (local.get $out_at)
              (local.get $source_at)
              (i32.sub (local.get $row_end) (local.get $row))
              (i32.sub (local.get $panel_end) (local.get $panel))
              (i32.sub (local.get $k_end) (local.get $k)))
            ;; every block but the first adds what the output holds
            (local.set $source_at (local.get $out_at))
            (br_if $next_block (i32.lt_u (local.tee $k (local.get $k_end)) (i32.const 16))))
          ;; products write rows in pairs: behind an odd last row lies one that is nobody's
          (if (i32.and (i32.sub (local.get $row_end) (local.get $row)) (i32.const 1)) (then
            (memory.fill
              (i32.add (local.get $out_at) (i32.mul (i32.sub (local.get $row_end) (local.get $row)) (i32.const 192)))
              (i32.const 0)
              (i32.shl (i32.sub (local.get $panel_end) (local.get $panel)) (i32.const 6))))))
        (else
          (if (i32.and (i32.eq (local.get $row_tile) (local.get $tiles_before)) (i32.eqz (local.get $panel))) (then
            (local.set $row (i32.and (i32.const -2) (i32.add (i32.const 1) (i32.add
              (i32.load offset=28 (local.get $start))
              (i32.load offset=28 (local.get $count))))))
            (memory.fill
              (i32.add (local.get $out) (i32.mul (local.get $row) (i32.const 192)))
              (i32.const 0)
              (i32.mul (i32.sub (local.get $routed) (local.get $row)) (i32.const 192)))))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end))))))
