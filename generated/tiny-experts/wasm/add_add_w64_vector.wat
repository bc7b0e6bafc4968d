;; add_add_w64_vector: Adds two tensors of one shape, with addend added to sum.
;;
;; formula:  sum = a + b + addend
;; source:   residual connection, He et al., arXiv:1512.03385
;; operands: a       f32 vector
;;           b       f32 vector
;;           addend  f32 vector
;;           sum     f32 vector
;;           count   i32, rows of this run
;; tile:     256 rows
;; chosen:   it is a formula: one pass per phase over its operands
;; used by:  loss fprop (model.ffn.router.losses)
;; spec:     tiny-experts
;; template: templates/wasm/formula.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "add_add_w64_vector") (param $table i32) (param $begin i32) (param $end i32)
    (local $rows i32) (local $tile i32) (local $row i32) (local $row_end i32) (local $lane i32)
    (local $a.base i32)
    (local $b.base i32)
    (local $addend.base i32)
    (local $sum.base i32)
    (local $a.at i32)
    (local $b.at i32)
    (local $addend.at i32)
    (local $sum.at i32)
    (local.set $a.base (i32.load offset=0 (local.get $table)))
    (local.set $b.base (i32.load offset=4 (local.get $table)))
    (local.set $addend.base (i32.load offset=8 (local.get $table)))
    (local.set $sum.base (i32.load offset=12 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=16 (local.get $table))))
    (local.set $tile (local.get $begin))
    (loop $next_tile
      (local.set $row (i32.mul (local.get $tile) (i32.const 256)))
      (local.set $row_end (i32.add (local.get $row) (i32.const 256)))
      (if (i32.gt_u (local.get $row_end) (local.get $rows)) (then (local.set $row_end (local.get $rows))))
      (loop $next_row
          (local.set $a.at (i32.add (local.get $a.base) (i32.mul (local.get $row) (i32.const 256))))
          (local.set $b.at (i32.add (local.get $b.base) (i32.mul (local.get $row) (i32.const 256))))
          (local.set $addend.at (i32.add (local.get $addend.base) (i32.mul (local.get $row) (i32.const 256))))
          (local.set $sum.at (i32.add (local.get $sum.base) (i32.mul (local.get $row) (i32.const 256))))
          ;; phase 1: sum
          (local.set $lane (i32.const 0))
          (loop $vectors1
            (v128.store (i32.add (local.get $sum.at) (local.get $lane)) (f32x4.add (f32x4.add (v128.load (i32.add (local.get $a.at) (local.get $lane))) (v128.load (i32.add (local.get $b.at) (local.get $lane)))) (v128.load (i32.add (local.get $addend.at) (local.get $lane)))))
            (v128.store offset=16 (i32.add (local.get $sum.at) (local.get $lane)) (f32x4.add (f32x4.add (v128.load offset=16 (i32.add (local.get $a.at) (local.get $lane))) (v128.load offset=16 (i32.add (local.get $b.at) (local.get $lane)))) (v128.load offset=16 (i32.add (local.get $addend.at) (local.get $lane)))))
            (v128.store offset=32 (i32.add (local.get $sum.at) (local.get $lane)) (f32x4.add (f32x4.add (v128.load offset=32 (i32.add (local.get $a.at) (local.get $lane))) (v128.load offset=32 (i32.add (local.get $b.at) (local.get $lane)))) (v128.load offset=32 (i32.add (local.get $addend.at) (local.get $lane)))))
            (v128.store offset=48 (i32.add (local.get $sum.at) (local.get $lane)) (f32x4.add (f32x4.add (v128.load offset=48 (i32.add (local.get $a.at) (local.get $lane))) (v128.load offset=48 (i32.add (local.get $b.at) (local.get $lane)))) (v128.load offset=48 (i32.add (local.get $addend.at) (local.get $lane)))))
            (br_if $vectors1 (i32.lt_u (local.tee $lane (i32.add (local.get $lane) (i32.const 64))) (i32.const 256))))
        (br_if $next_row (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $row_end))))
      (br_if $next_tile (i32.lt_u (local.tee $tile (i32.add (local.get $tile) (i32.const 1))) (local.get $end)))))
)
