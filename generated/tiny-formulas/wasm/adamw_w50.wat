;; adamw_w50: AdamW with decoupled decay; keeps weight and moments where the step is not finite.
;;
;; formula:  let g = gradient * scale; let m1 = 0.9 * m + 0.1 * g; let v1 = 0.95 * v + 0.05 * (gradient^2 * scale^2); let step = 0.1 * w + m1 / correction1 / (sqrt(v1 / correction2) + 1e-8); w = if(finite != 0, w - learning_rate * step, w); m = if(finite != 0, m1, m); v = if(finite != 0, v1, v)
;; source:   Loshchilov and Hutter, arXiv:1711.05101, algorithm 2
;; operands: w              f32 rows of 50, 80 apart
;;           gradient       f32 rows of 50, 80 apart
;;           m              f32 rows of 50, 80 apart
;;           v              f32 rows of 50, 80 apart
;;           learning_rate  f32 scalar
;;           scale          f32 scalar
;;           correction1    f32 scalar
;;           correction2    f32 scalar
;;           finite         f32 scalar
;;           count          i32, rows of this run
;; tile:     327 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[0..1].ffn.down update (train.optimizer)
;; spec:     tiny-formulas
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (global $f.0 (mut v128) (v128.const f32x4 0 0 0 0))
  (global $f.0.1 (mut v128) (v128.const f32x4 0.1 0.1 0.1 0.1))
  (global $f.1 (mut v128) (v128.const f32x4 1 1 1 1))
  (global $f.0.05 (mut v128) (v128.const f32x4 0.05 0.05 0.05 0.05))
  (global $f.0.9 (mut v128) (v128.const f32x4 0.9 0.9 0.9 0.9))
  (global $f.0.95 (mut v128) (v128.const f32x4 0.95 0.95 0.95 0.95))
  (global $f.1e-8 (mut v128) (v128.const f32x4 1e-8 1e-8 1e-8 1e-8))
  (func (export "adamw_w50") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $w.base i32)
    (local $gradient.base i32)
    (local $m.base i32)
    (local $v.base i32)
    (local $learning_rate.base i32)
    (local $scale.base i32)
    (local $correction1.base i32)
    (local $correction2.base i32)
    (local $finite.base i32)
    (local $equal v128)
    (local $f.0 v128)
    (local $not v128)
    (local $scale v128)
    (local $multiply v128)
    (local $f.0.1 v128)
    (local $reciprocal v128)
    (local $f.1 v128)
    (local $multiply_2 v128)
    (local $f.0.05 v128)
    (local $reciprocal_2 v128)
    (local $learning_rate v128)
    (local $w.at i32)
    (local $gradient.at i32)
    (local $m.at i32)
    (local $v.at i32)
    (local $w v128)
    (local $m v128)
    (local $gradient v128)
    (local $m1 v128)
    (local $f.0.9 v128)
    (local $v v128)
    (local $g v128)
    (local $v1 v128)
    (local $f.0.95 v128)
    (local $step v128)
    (local $f.1e-8 v128)
    (local $w_2 v128)
    (local $m_2 v128)
    (local $gradient_2 v128)
    (local $m1_2 v128)
    (local $v_2 v128)
    (local $g_2 v128)
    (local $v1_2 v128)
    (local $step_2 v128)
    (local $w_3 v128)
    (local $m_3 v128)
    (local $gradient_3 v128)
    (local $m1_3 v128)
    (local $v_3 v128)
    (local $g_3 v128)
    (local $v1_3 v128)
    (local $step_3 v128)
    (local $stored. v128)
    (local.set $w.base (i32.load offset=0 (local.get $table))) ;; f32 rows of 50, 80 apart
    (local.set $gradient.base (i32.load offset=4 (local.get $table))) ;; f32 rows of 50, 80 apart
    (local.set $m.base (i32.load offset=8 (local.get $table))) ;; f32 rows of 50, 80 apart
    (local.set $v.base (i32.load offset=12 (local.get $table))) ;; f32 rows of 50, 80 apart
    (local.set $learning_rate.base (i32.load offset=16 (local.get $table))) ;; f32 scalar
    (local.set $scale.base (i32.load offset=20 (local.get $table))) ;; f32 scalar
    (local.set $correction1.base (i32.load offset=24 (local.get $table))) ;; f32 scalar
    (local.set $correction2.base (i32.load offset=28 (local.get $table))) ;; f32 scalar
    (local.set $finite.base (i32.load offset=32 (local.get $table))) ;; f32 scalar
    (local.set $rows (i32.load (i32.load offset=36 (local.get $table))))
    (local.set $f.0 (global.get $f.0))
    (local.set $f.0.1 (global.get $f.0.1))
    (local.set $f.1 (global.get $f.1))
    (local.set $f.0.05 (global.get $f.0.05))
    (local.set $f.0.9 (global.get $f.0.9))
    (local.set $f.0.95 (global.get $f.0.95))
    (local.set $f.1e-8 (global.get $f.1e-8))
    ;; the same for every row
    (local.set $equal (f32x4.eq (v128.load32_splat (local.get $finite.base)) (local.get $f.0)))
    (local.set $not (v128.not (local.get $equal)))
    (local.set $scale (v128.load32_splat (local.get $scale.base)))
    (local.set $multiply (f32x4.mul (local.get $scale) (local.get $f.0.1)))
    (local.set $reciprocal (f32x4.div (local.get $f.1) (v128.load32_splat (local.get $correction1.base))))
    (local.set $multiply_2 (f32x4.mul (local.get $scale) (local.get $f.0.05)))
    (local.set $reciprocal_2 (f32x4.div (local.get $f.1) (v128.load32_splat (local.get $correction2.base))))
    (local.set $learning_rate (v128.load32_splat (local.get $learning_rate.base)))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 327)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 327)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $w.at (i32.add (local.get $w.base) (i32.mul (local.get $row) (i32.const 320))))
          (local.set $gradient.at (i32.add (local.get $gradient.base) (i32.mul (local.get $row) (i32.const 320))))
          (local.set $m.at (i32.add (local.get $m.base) (i32.mul (local.get $row) (i32.const 320))))
          (local.set $v.at (i32.add (local.get $v.base) (i32.mul (local.get $row) (i32.const 320))))
          ;; phase 1: w, m, v
          (local.set $lane (i32.const 0))
          (loop $vectors1
            (local.set $w (v128.load (i32.add (local.get $w.at) (local.get $lane))))
            (local.set $m (v128.load (i32.add (local.get $m.at) (local.get $lane))))
            (local.set $gradient (v128.load (i32.add (local.get $gradient.at) (local.get $lane))))
            (local.set $m1 (f32x4.add (f32x4.mul (local.get $m) (local.get $f.0.9)) (f32x4.mul (local.get $gradient) (local.get $multiply))))
            (local.set $v (v128.load (i32.add (local.get $v.at) (local.get $lane))))
            (local.set $g (f32x4.mul (local.get $gradient) (local.get $scale)))
            (local.set $v1 (f32x4.add (f32x4.mul (local.get $v) (local.get $f.0.95)) (f32x4.mul (f32x4.mul (local.get $gradient) (local.get $g)) (local.get $multiply_2))))
            (local.set $step (f32x4.add (f32x4.div (f32x4.mul (local.get $m1) (local.get $reciprocal)) (f32x4.add (local.get $f.1e-8) (f32x4.sqrt (f32x4.mul (local.get $v1) (local.get $reciprocal_2))))) (f32x4.mul (local.get $w) (local.get $f.0.1))))
            (v128.store (i32.add (local.get $w.at) (local.get $lane)) (v128.bitselect (f32x4.sub (local.get $w) (f32x4.mul (local.get $step) (local.get $learning_rate))) (local.get $w) (local.get $not)))
            (v128.store (i32.add (local.get $m.at) (local.get $lane)) (v128.bitselect (local.get $m1) (local.get $m) (local.get $not)))
            (v128.store (i32.add (local.get $v.at) (local.get $lane)) (v128.bitselect (local.get $v1) (local.get $v) (local.get $not)))
            ;; lanes 4 to 7 of this pass
            (local.set $w_2 (v128.load offset=16 (i32.add (local.get $w.at) (local.get $lane))))
            (local.set $m_2 (v128.load offset=16 (i32.add (local.get $m.at) (local.get $lane))))
            (local.set $gradient_2 (v128.load offset=16 (i32.add (local.get $gradient.at) (local.get $lane))))
            (local.set $m1_2 (f32x4.add (f32x4.mul (local.get $m_2) (local.get $f.0.9)) (f32x4.mul (local.get $gradient_2) (local.get $multiply))))
            (local.set $v_2 (v128.load offset=16 (i32.add (local.get $v.at) (local.get $lane))))
            (local.set $g_2 (f32x4.mul (local.get $gradient_2) (local.get $scale)))
            (local.set $v1_2 (f32x4.add (f32x4.mul (local.get $v_2) (local.get $f.0.95)) (f32x4.mul (f32x4.mul (local.get $gradient_2) (local.get $g_2)) (local.get $multiply_2))))
            (local.set $step_2 (f32x4.add (f32x4.div (f32x4.mul (local.get $m1_2) (local.get $reciprocal)) (f32x4.add (local.get $f.1e-8) (f32x4.sqrt (f32x4.mul (local.get $v1_2) (local.get $reciprocal_2))))) (f32x4.mul (local.get $w_2) (local.get $f.0.1))))
            (v128.store offset=16 (i32.add (local.get $w.at) (local.get $lane)) (v128.bitselect (f32x4.sub (local.get $w_2) (f32x4.mul (local.get $step_2) (local.get $learning_rate))) (local.get $w_2) (local.get $not)))
            (v128.store offset=16 (i32.add (local.get $m.at) (local.get $lane)) (v128.bitselect (local.get $m1_2) (local.get $m_2) (local.get $not)))
            (v128.store offset=16 (i32.add (local.get $v.at) (local.get $lane)) (v128.bitselect (local.get $v1_2) (local.get $v_2) (local.get $not)))
            (br_if $vectors1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 32))) (i32.const 192))))
          (local.set $lane (i32.const 192))
          (loop $last1
            (local.set $w_3 (v128.load (i32.add (local.get $w.at) (local.get $lane))))
            (local.set $m_3 (v128.load (i32.add (local.get $m.at) (local.get $lane))))
            (local.set $gradient_3 (v128.load (i32.add (local.get $gradient.at) (local.get $lane))))
            (local.set $m1_3 (f32x4.add (f32x4.mul (local.get $m_3) (local.get $f.0.9)) (f32x4.mul (local.get $gradient_3) (local.get $multiply))))
            (local.set $v_3 (v128.load (i32.add (local.get $v.at) (local.get $lane))))
            (local.set $g_3 (f32x4.mul (local.get $gradient_3) (local.get $scale)))
            (local.set $v1_3 (f32x4.add (f32x4.mul (local.get $v_3) (local.get $f.0.95)) (f32x4.mul (f32x4.mul (local.get $gradient_3) (local.get $g_3)) (local.get $multiply_2))))
            (local.set $step_3 (f32x4.add (f32x4.div (f32x4.mul (local.get $m1_3) (local.get $reciprocal)) (f32x4.add (local.get $f.1e-8) (f32x4.sqrt (f32x4.mul (local.get $v1_3) (local.get $reciprocal_2))))) (f32x4.mul (local.get $w_3) (local.get $f.0.1))))
            (local.set $stored. (v128.bitselect (f32x4.sub (local.get $w_3) (f32x4.mul (local.get $step_3) (local.get $learning_rate))) (local.get $w_3) (local.get $not)))
            (v128.store32_lane offset=0 0 (i32.add (local.get $w.at) (local.get $lane)) (local.get $stored.))
            (v128.store32_lane offset=4 1 (i32.add (local.get $w.at) (local.get $lane)) (local.get $stored.))
            (local.set $stored. (v128.bitselect (local.get $m1_3) (local.get $m_3) (local.get $not)))
            (v128.store32_lane offset=0 0 (i32.add (local.get $m.at) (local.get $lane)) (local.get $stored.))
            (v128.store32_lane offset=4 1 (i32.add (local.get $m.at) (local.get $lane)) (local.get $stored.))
            (local.set $stored. (v128.bitselect (local.get $v1_3) (local.get $v_3) (local.get $not)))
            (v128.store32_lane offset=0 0 (i32.add (local.get $v.at) (local.get $lane)) (local.get $stored.))
            (v128.store32_lane offset=4 1 (i32.add (local.get $v.at) (local.get $lane)) (local.get $stored.))
            (br_if $last1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 208))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end))))))
