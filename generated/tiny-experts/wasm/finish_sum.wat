;; finish_sum: Adds partial sums in order.
;;
;; formula:  out = Σ parts, in ascending order
;; source:   sums in chunks that depend on shape alone
;; operands: parts  f32 vector
;;           out    f32 scalar
;;           count  i32, parts of this run
;; tile:     one
;; chosen:   one number from many: partial sums of fixed chunks, combined in order
;; used by:  loss fprop (model.ffn.router.losses)
;;           loss fprop (model.vocab)
;;           mtp[0].loss fprop (model.mtp)
;; spec:     tiny-experts
;; template: templates/wasm/reduce-finish.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (func (export "finish_sum") (param $table i32) (param $begin i32) (param $end i32)
    (local $at i32) (local $at_end i32) (local $sum f32)
    (local.set $at (i32.load (local.get $table)))
    (local.set $at_end (i32.add (local.get $at) (i32.shl (i32.load (i32.load offset=8 (local.get $table))) (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $at_end)))
        (local.set $sum (f32.add (local.get $sum) (f32.load (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br $next)))
    (f32.store (i32.load offset=4 (local.get $table)) (local.get $sum))))
