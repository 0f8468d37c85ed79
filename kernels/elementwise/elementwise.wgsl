// y[i] = f(x0[i], x1[i], ...). An operand that has one element, or is one row, is broadcast.
//! insert FUNCTIONS
//! insert BINDINGS
@group(0) @binding(0) var<storage, read_write> y: array<f32>;

//! each i in 0..SIZE
  unknown_zero = select(0u, 0xffffffffu, groups.x == 0u);
//! insert LOADS
  y[i] =
//! insert EXPRESSION
  ;
//! end
