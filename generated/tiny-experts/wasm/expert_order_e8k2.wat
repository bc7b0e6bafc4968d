;; expert_order_e8k2: Sorts choices by expert, in the order of the tokens; a row that is nobody's has source and expert -1.
;;
;; formula:  source[place[t, k]] = t · top_k + k; expert[place[t, k]] = index[t, k]; start[e] even, start[e] + count[e] <= start[e + 1]
;; source:   dropless routing: Gale et al., arXiv:2211.15841
;; operands: index   i32 rows of 2, 16 values apart
;;           source  i32 vector
;;           place   i32 rows of 2, 16 values apart
;;           expert  i32 vector
;;           start   i32 vector
;;           count   i32 vector
;;           rows    i32, rows of source and expert
;;           count   i32, tokens of this run
;; tile:     one
;; chosen:   one thread counts, adds up and writes: the order depends on the tokens alone
;; used by:  layers[1..2].ffn.dispatch fprop (model.ffn.experts)
;;           mtp[0].ffn.dispatch fprop (model.ffn.experts)
;; spec:     tiny-experts
;; template: templates/wasm/expert-order.wat.hbs
(module
  (import "mspec" "memory" (memory 1 65536 shared))
  (import "mspec" "scratch" (global $scratch i32))
  ;; Counts choices per expert, gives every expert its first row, then hands out rows in the order of the tokens.
  ;; Scratch holds where each expert's next row goes.
  (func (export "expert_order_e8k2") (param $table i32) (param $begin i32) (param $end i32)
    (local $index i32) (local $source i32) (local $place i32) (local $expert i32) (local $start i32) (local $count i32)
    (local $rows i32) (local $tokens i32) (local $token i32) (local $k i32) (local $at i32) (local $e i32) (local $row i32) (local $cell i32)
    (local.set $index (i32.load (local.get $table)))
    (local.set $source (i32.load offset=4 (local.get $table)))
    (local.set $place (i32.load offset=8 (local.get $table)))
    (local.set $expert (i32.load offset=12 (local.get $table)))
    (local.set $start (i32.load offset=16 (local.get $table)))
    (local.set $count (i32.load offset=20 (local.get $table)))
    (local.set $rows (i32.load (i32.load offset=24 (local.get $table))))
    (local.set $tokens (i32.load (i32.load offset=28 (local.get $table))))
    ;; -1: nobody's row
    (memory.fill (local.get $source) (i32.const 255) (i32.shl (local.get $rows) (i32.const 2)))
    (memory.fill (local.get $expert) (i32.const 255) (i32.shl (local.get $rows) (i32.const 2)))
    (memory.fill (local.get $count) (i32.const 0) (i32.const 32))
    (loop $count_token
      (local.set $k (i32.const 0))
      (loop $count_choice
        (local.set $cell (i32.add (local.get $count) (i32.shl
          (i32.load (i32.add (local.get $index) (i32.add (i32.mul (local.get $token) (i32.const 64)) (local.get $k))))
          (i32.const 2))))
        (i32.store (local.get $cell) (i32.add (i32.load (local.get $cell)) (i32.const 1)))
        (br_if $count_choice (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 4))) (i32.const 8))))
      (br_if $count_token (i32.lt_u (local.tee $token (i32.add (local.get $token) (i32.const 1))) (local.get $tokens))))
    (loop $next_expert
      (i32.store (i32.add (local.get $start) (local.get $e)) (local.get $row))
      (i32.store (i32.add (global.get $scratch) (local.get $e)) (local.get $row))
      ;; the next expert begins at an even row
      (local.set $row (i32.and (i32.const -2) (i32.add (i32.const 1)
        (i32.add (local.get $row) (i32.load (i32.add (local.get $count) (local.get $e)))))))
      (br_if $next_expert (i32.lt_u (local.tee $e (i32.add (local.get $e) (i32.const 4))) (i32.const 32))))
    (local.set $token (i32.const 0))
    (loop $next_token
      (local.set $k (i32.const 0))
      (loop $next_choice
        (local.set $at (i32.add (i32.mul (local.get $token) (i32.const 64)) (local.get $k)))
        (local.set $e (i32.load (i32.add (local.get $index) (local.get $at))))
        (local.set $cell (i32.add (global.get $scratch) (i32.shl (local.get $e) (i32.const 2))))
        (local.set $row (i32.load (local.get $cell)))
        (i32.store (local.get $cell) (i32.add (local.get $row) (i32.const 1)))
        (i32.store (i32.add (local.get $place) (local.get $at)) (local.get $row))
        (local.set $row (i32.shl (local.get $row) (i32.const 2)))
        (i32.store (i32.add (local.get $expert) (local.get $row)) (local.get $e))
        (i32.store (i32.add (local.get $source) (local.get $row))
          (i32.add (i32.mul (local.get $token) (i32.const 2)) (i32.shr_u (local.get $k) (i32.const 2))))
        (br_if $next_choice (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 4))) (i32.const 8))))
      (br_if $next_token (i32.lt_u (local.tee $token (i32.add (local.get $token) (i32.const 1))) (local.get $tokens))))))
