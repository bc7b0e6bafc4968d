;; expert_fractions_e8k2t32: Each expert's share of the choices of a sequence, times the number of experts: 1 for all at balance.
;;
;; formula:  fractions[t, e] = experts / (2 · 32) · Σ 1[e among the 2 greatest scores of a row] over the 32 rows with t
;; source:   f of the sequence-wise balance loss, DeepSeek-V3, arXiv:2412.19437, equation 18
;; operands: scores     f32 rows of 8, 16 values apart
;;           fractions  f32 rows of 8, 16 values apart
;; tile:     32 rows
;; chosen:   a tile counts the rows of one sequence
;; used by:  layers[1..2].ffn.router fprop (model.ffn.router.losses.sequence)
;;           mtp[0].ffn.router fprop (model.ffn.router.losses.sequence)
;; spec:     tiny-experts
;; template: templates/wasm/expert-fractions.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (import "mspec" "scratch" (global $scratch i32))
  ;; A number that orders as its float does: 0 and -0 alike, NaN below every number and above what is masked.
  (func $expert_fractions_e8k2t32.key (param $value f32) (result i32)
    (local $bits i32)
    (if (f32.ne (local.get $value) (local.get $value)) (then (return (i32.const -2147483647))))
    (local.set $bits (i32.reinterpret_f32 (f32.add (local.get $value) (f32.const 0))))
    (i32.xor (local.get $bits) (i32.and (i32.shr_s (local.get $bits) (i32.const 31)) (i32.const 2147483647))))

  ;; The place of the greatest of some keys, the first of equal ones; its key becomes the lowest, which stands for masked.
  (func $expert_fractions_e8k2t32.take (param $keys i32) (param $bytes i32) (result i32)
    (local $at i32) (local $best i32) (local $most i32) (local $key i32)
    (local.set $most (i32.const -2147483648))
    (loop $next
      (local.set $key (i32.load (i32.add (local.get $keys) (local.get $at))))
      (if (i32.gt_s (local.get $key) (local.get $most)) (then
        (local.set $most (local.get $key))
        (local.set $best (local.get $at))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (local.get $bytes))))
    (i32.store (i32.add (local.get $keys) (local.get $best)) (i32.const -2147483648))
    (local.get $best))

  ;; A tile is 32 rows: the greatest scores of each are counted, then every row gets all experts' shares.
  (func (export "expert_fractions_e8k2t32") (param $table i32) (param $begin i32) (param $end i32)
    (local $scores i32) (local $fractions i32) (local $counts i32) (local $tile i32) (local $first i32) (local $row i32)
    (local $e i32) (local $k i32) (local $at i32)
    (local.set $scores (i32.load (local.get $table)))
    (local.set $fractions (i32.load offset=4 (local.get $table)))
    (local.set $counts (i32.add (global.get $scratch) (i32.const 32)))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $first (i32.mul (local.get $tile) (i32.const 32)))
      (memory.fill (local.get $counts) (i32.const 0) (i32.const 32))
      (local.set $row (i32.const 0))
      (loop $count_row
        (local.set $at (i32.add (local.get $scores) (i32.mul (i32.add (local.get $first) (local.get $row)) (i32.const 64))))
        (local.set $e (i32.const 0))
        (loop $next_key
          (i32.store (i32.add (global.get $scratch) (local.get $e))
            (call $expert_fractions_e8k2t32.key (f32.load (i32.add (local.get $at) (local.get $e)))))
          (br_if $next_key (i32.lt_u (local.tee $e (i32.add (local.get $e) (i32.const 4))) (i32.const 32))))
        (local.set $k (i32.const 0))
        (loop $next_choice
          (local.set $e (i32.add (local.get $counts) (call $expert_fractions_e8k2t32.take (global.get $scratch) (i32.const 32))))
          (i32.store (local.get $e) (i32.add (i32.load (local.get $e)) (i32.const 1)))
          (br_if $next_choice (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 2))))
        (br_if $count_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (i32.const 32))))
      (local.set $e (i32.const 0))
      (loop $next_share
        (f32.store (i32.add (local.get $counts) (local.get $e)) (f32.mul (f32.const 0.125)
          (f32.convert_i32_u (i32.load (i32.add (local.get $counts) (local.get $e))))))
        (br_if $next_share (i32.lt_u (local.tee $e (i32.add (local.get $e) (i32.const 4))) (i32.const 32))))
      (local.set $row (i32.const 0))
      (loop $write_row
        (memory.copy
          (i32.add (local.get $fractions) (i32.mul (i32.add (local.get $first) (local.get $row)) (i32.const 64)))
          (local.get $counts) (i32.const 32))
        (br_if $write_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (i32.const 32))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end))))))
