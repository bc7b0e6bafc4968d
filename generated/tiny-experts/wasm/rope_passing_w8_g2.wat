;; rope_passing_w8_g2: Turns the pairs of every head by an angle that grows with the position.
;;
;; formula:  y = x
;; source:   Su et al., arXiv:2104.09864; layout half as in Llama, interleaved as in DeepSeek
;; operands: x      f32 rows of 24, 48 values apart
;;           y      f32 rows of 24, 48 values apart
;;           count  i32, rows of this run
;; tile:     512 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[0..2].attention.q_up fprop (model.attention.rope)
;;           mtp[0].attention.q_up fprop (model.attention.rope)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "rope_passing_w8_g2") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $group i32)
    (local $x.base i32)
    (local $y.base i32)
    (local $x.at i32)
    (local $y.at i32)
    (local.set $x.base (i32.load offset=0 (local.get $table)))
    (local.set $y.base (i32.load offset=4 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=8 (local.get $table))))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
        (local.set $group (i32.const 0))
        (loop $next_group
          (local.set $x.at (i32.add (i32.add (local.get $x.base) (i32.mul (local.get $row) (i32.const 192))) (i32.mul (local.get $group) (i32.const 48))))
          (local.set $y.at (i32.add (i32.add (local.get $y.base) (i32.mul (local.get $row) (i32.const 192))) (i32.mul (local.get $group) (i32.const 48))))
          ;; phase 1: y
          (local.set $lane (i32.const 0))
          (loop $single1
            (v128.store (i32.add (local.get $y.at) (local.get $lane)) (v128.load (i32.add (local.get $x.at) (local.get $lane))))
            (br_if $single1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 32))))
          (br_if $next_group (i32.lt_u (local.tee $group (i32.add (local.get $group) (i32.const 1))) (i32.const 2))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
