;; absorb_values_h2n8k16: Turns every head's weighted sum of latent vectors into its weighted sum of values.
;;
;; formula:  out[h, j] = Σ_c attended[h, c] · weight[h, nope + j, c]
;; source:   DeepSeek-V2, arXiv:2405.04434, appendix C
;; operands: a      f32 rows of 32, 48 values apart
;;           b      f32 in panels of 16, 16 deep
;;           out    f32 rows of 16, 16 values apart
;;           count  i32, rows of a of this run
;; tile:     32 rows of one head; registers hold 2 by 16
;; chosen:   every head multiplies with rows of its own in one weight
;; used by:  layers[0..2].attention.v_absorb fprop (model.attention)
;;           mtp[0].attention.v_absorb fprop (model.attention)
;; spec:     tiny-experts
;; template: templates/wasm/matmul-heads.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (import "mspec" "scratch" (global $scratch i32))
  ;; out[rows, 16 panels] = source + Σ_k a(i, k) · b(k, j), two rows by 16 columns at a time; a source of 0 means none.
  ;; a(i, k) stands 192 bytes per i and 4 per k; b(k, j) 64 bytes per k, its panels 1024 bytes apart; rows of
  ;; out and source are 64 bytes apart. Where the rows are odd in number, which only the last tile's
  ;; are, the row behind is computed as well: every buffer has room for it.
  (func $absorb_values_h2n8k16.product (param $a i32) (param $b i32) (param $out i32) (param $source i32) (param $rows i32) (param $panels i32) (param $depth i32)
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
      (local.set $b (i32.add (local.get $b) (i32.const 1024)))
      (local.set $out (i32.add (local.get $out) (i32.const 64)))
      (br_if $next_panel (local.tee $panels (i32.sub (local.get $panels) (i32.const 1))))))

  ;; A tile is 32 rows of one head. The product has whole panels of columns, so it is made in scratch: behind a head's
  ;; columns stand those of the next one.
  (func (export "absorb_values_h2n8k16") (param $table i32) (param $begin i32) (param $end i32)
    (local $a i32) (local $b i32) (local $out i32) (local $all_rows i32) (local $tile i32) (local $head i32) (local $row i32)
    (local $rows i32) (local $a_at i32) (local $out_at i32) (local $from i32)
    (local.set $a (i32.load (local.get $table)))
    (local.set $b (i32.load offset=4 (local.get $table)))
    (local.set $out (i32.load offset=8 (local.get $table)))
    (local.set $all_rows (i32.load (i32.load offset=12 (local.get $table))))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $head (i32.rem_u (local.get $tile) (i32.const 2)))
      (local.set $row (i32.mul (i32.div_u (local.get $tile) (i32.const 2)) (i32.const 32)))
      (local.set $rows (i32.sub (local.get $all_rows) (local.get $row)))
      (if (i32.gt_u (local.get $rows) (i32.const 32)) (then (local.set $rows (i32.const 32))))
      (local.set $a_at (i32.add (i32.add (local.get $a) (i32.mul (local.get $head) (i32.const 64))) (i32.mul (local.get $row) (i32.const 192))))
      (local.set $out_at (i32.add (i32.add (local.get $out) (i32.mul (local.get $head) (i32.const 32))) (i32.mul (local.get $row) (i32.const 64))))
      (call $absorb_values_h2n8k16.product
        (i32.add (local.get $a_at) (i32.const 0))
        (i32.add (i32.add (local.get $b) (i32.const 0)) (i32.mul (local.get $head) (i32.const 1024)))
        (global.get $scratch) (i32.const 0) (local.get $rows) (i32.const 1) (i32.const 16))
      (local.set $from (global.get $scratch))
      (loop $next_row
        (memory.copy (i32.add (local.get $out_at) (i32.const 0)) (local.get $from) (i32.const 32))
        (local.set $out_at (i32.add (local.get $out_at) (i32.const 64)))
        (local.set $from (i32.add (local.get $from) (i32.const 64)))
        (br_if $next_row (local.tee $rows (i32.sub (local.get $rows) (i32.const 1)))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end))))))
