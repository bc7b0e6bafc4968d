;; update_scalars_w1: Decides whether a step is finite, how far gradients are clipped, and the bias corrections of Adam.
;;
;; formula:  let ok = norm <= 3.4028235e+38; finite = if(ok, 1, 0); scale = if(0 < clip, min(clip / (norm + 0.000001), 1), 1); correction1 = if(ok, 0.9 * correction1 + 0.1, correction1); correction2 = if(ok, 0.95 * correction2 + 0.05, correction2); skipped = if(ok, skipped, skipped + 1)
;; source:   arXiv:1711.05101; clipping: Pascanu et al., arXiv:1211.5063
;; operands: norm         f32 scalar
;;           clip         f32 scalar
;;           correction1  f32 scalar
;;           correction2  f32 scalar
;;           skipped      f32 scalar
;;           finite       f32 scalar
;;           scale        f32 scalar
;;           count        i32, rows of this run
;; tile:     512 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  update update (train.optimizer)
;; spec:     tiny-formulas
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (global $f.3.4028235e+38 (mut v128) (v128.const f32x4 3.4028235e+38 3.4028235e+38 3.4028235e+38 3.4028235e+38))
  (global $f.1 (mut v128) (v128.const f32x4 1 1 1 1))
  (global $f.0 (mut v128) (v128.const f32x4 0 0 0 0))
  (global $f.0.000001 (mut v128) (v128.const f32x4 0.000001 0.000001 0.000001 0.000001))
  (global $f.0.1 (mut v128) (v128.const f32x4 0.1 0.1 0.1 0.1))
  (global $f.0.9 (mut v128) (v128.const f32x4 0.9 0.9 0.9 0.9))
  (global $f.0.05 (mut v128) (v128.const f32x4 0.05 0.05 0.05 0.05))
  (global $f.0.95 (mut v128) (v128.const f32x4 0.95 0.95 0.95 0.95))
  (func (export "update_scalars_w1") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $norm.base i32)
    (local $clip.base i32)
    (local $correction1.base i32)
    (local $correction2.base i32)
    (local $skipped.base i32)
    (local $finite.base i32)
    (local $scale.base i32)
    (local $norm.at i32)
    (local $clip.at i32)
    (local $correction1.at i32)
    (local $correction2.at i32)
    (local $skipped.at i32)
    (local $finite.at i32)
    (local $scale.at i32)
    (local $norm v128)
    (local $ok v128)
    (local $f.3.4028235e+38 v128)
    (local $clip v128)
    (local $correction1 v128)
    (local $correction2 v128)
    (local $skipped v128)
    (local $f.1 v128)
    (local $f.0 v128)
    (local $stored. v128)
    (local $f.0.000001 v128)
    (local $f.0.1 v128)
    (local $f.0.9 v128)
    (local $f.0.05 v128)
    (local $f.0.95 v128)
    (local.set $norm.base (i32.load offset=0 (local.get $table))) ;; f32 scalar
    (local.set $clip.base (i32.load offset=4 (local.get $table))) ;; f32 scalar
    (local.set $correction1.base (i32.load offset=8 (local.get $table))) ;; f32 scalar
    (local.set $correction2.base (i32.load offset=12 (local.get $table))) ;; f32 scalar
    (local.set $skipped.base (i32.load offset=16 (local.get $table))) ;; f32 scalar
    (local.set $finite.base (i32.load offset=20 (local.get $table))) ;; f32 scalar
    (local.set $scale.base (i32.load offset=24 (local.get $table))) ;; f32 scalar
    (local.set $rows (i32.load (i32.load offset=28 (local.get $table))))
    (local.set $f.3.4028235e+38 (global.get $f.3.4028235e+38))
    (local.set $f.1 (global.get $f.1))
    (local.set $f.0 (global.get $f.0))
    (local.set $f.0.000001 (global.get $f.0.000001))
    (local.set $f.0.1 (global.get $f.0.1))
    (local.set $f.0.9 (global.get $f.0.9))
    (local.set $f.0.05 (global.get $f.0.05))
    (local.set $f.0.95 (global.get $f.0.95))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $norm.at (i32.add (local.get $norm.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $clip.at (i32.add (local.get $clip.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $correction1.at (i32.add (local.get $correction1.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $correction2.at (i32.add (local.get $correction2.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $skipped.at (i32.add (local.get $skipped.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $finite.at (i32.add (local.get $finite.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $scale.at (i32.add (local.get $scale.base) (i32.mul (local.get $row) (i32.const 64))))
          ;; phase 1: finite, scale, correction1, correction2, skipped
          (local.set $lane (i32.const 0))
          (loop $last1
            (local.set $norm (v128.load (i32.add (local.get $norm.at) (local.get $lane))))
            (local.set $ok (f32x4.le (local.get $norm) (local.get $f.3.4028235e+38)))
            (local.set $clip (v128.load (i32.add (local.get $clip.at) (local.get $lane))))
            (local.set $correction1 (v128.load (i32.add (local.get $correction1.at) (local.get $lane))))
            (local.set $correction2 (v128.load (i32.add (local.get $correction2.at) (local.get $lane))))
            (local.set $skipped (v128.load (i32.add (local.get $skipped.at) (local.get $lane))))
            (local.set $stored. (v128.bitselect (local.get $f.1) (local.get $f.0) (local.get $ok)))
            (v128.store32_lane offset=0 0 (i32.add (local.get $finite.at) (local.get $lane)) (local.get $stored.))
            (local.set $stored. (v128.bitselect (f32x4.pmin (f32x4.div (local.get $clip) (f32x4.add (local.get $f.0.000001) (local.get $norm))) (local.get $f.1)) (local.get $f.1) (f32x4.lt (local.get $f.0) (local.get $clip))))
            (v128.store32_lane offset=0 0 (i32.add (local.get $scale.at) (local.get $lane)) (local.get $stored.))
            (local.set $stored. (v128.bitselect (f32x4.add (local.get $f.0.1) (f32x4.mul (local.get $correction1) (local.get $f.0.9))) (local.get $correction1) (local.get $ok)))
            (v128.store32_lane offset=0 0 (i32.add (local.get $correction1.at) (local.get $lane)) (local.get $stored.))
            (local.set $stored. (v128.bitselect (f32x4.add (local.get $f.0.05) (f32x4.mul (local.get $correction2) (local.get $f.0.95))) (local.get $correction2) (local.get $ok)))
            (v128.store32_lane offset=0 0 (i32.add (local.get $correction2.at) (local.get $lane)) (local.get $stored.))
            (local.set $stored. (v128.bitselect (local.get $skipped) (f32x4.add (local.get $f.1) (local.get $skipped)) (local.get $ok)))
            (v128.store32_lane offset=0 0 (i32.add (local.get $skipped.at) (local.get $lane)) (local.get $stored.))
            (br_if $last1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 16))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end))))))
