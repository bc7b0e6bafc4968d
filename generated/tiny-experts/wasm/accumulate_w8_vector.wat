;; accumulate_w8_vector: Adds a value to state, or overwrites it where the flag `first` is not 0.
;;
;; formula:  y = if(first != 0, value, state + value)
;; source:   gradient accumulation over micro-batches
;; operands: state  f32 vector
;;           value  f32 vector
;;           first  f32 scalar
;;           count  i32, rows of this run
;; tile:     512 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  layers[1..2].ffn.router fprop (model.ffn.router)
;;           mtp[0].ffn.router fprop (model.ffn.router)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (global $f.0 (mut v128) (v128.const f32x4 0 0 0 0))
  (func (export "accumulate_w8_vector") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $state.base i32)
    (local $value.base i32)
    (local $first.base i32)
    (local $equal v128)
    (local $f.0 v128)
    (local $not v128)
    (local $state.at i32)
    (local $value.at i32)
    (local $y.at i32)
    (local $value v128)
    (local.set $state.base (i32.load offset=0 (local.get $table)))
    (local.set $value.base (i32.load offset=4 (local.get $table)))
    (local.set $first.base (i32.load offset=8 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=12 (local.get $table))))
    (local.set $f.0 (global.get $f.0))
    ;; the same for every row
    (local.set $equal (f32x4.eq (v128.load32_splat (local.get $first.base)) (local.get $f.0)))
    (local.set $not (v128.not (local.get $equal)))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 512)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 512)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $state.at (i32.add (local.get $state.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $value.at (i32.add (local.get $value.base) (i32.mul (local.get $row) (i32.const 64))))
          (local.set $y.at (i32.add (local.get $state.base) (i32.mul (local.get $row) (i32.const 64))))
          ;; phase 1: y
          (local.set $lane (i32.const 0))
          (loop $single1
            (local.set $value (v128.load (i32.add (local.get $value.at) (local.get $lane))))
            (v128.store (i32.add (local.get $y.at) (local.get $lane)) (v128.bitselect (local.get $value) (f32x4.add (v128.load (i32.add (local.get $state.at) (local.get $lane))) (local.get $value)) (local.get $not)))
            (br_if $single1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 16))) (i32.const 32))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
