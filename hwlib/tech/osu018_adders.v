// Full and half adders as OSU018 cells; a constant carry-in makes a full adder a half adder.
module \$fa (A, B, C, X, Y);
    parameter WIDTH = 1;
    parameter _TECHMAP_CONSTMSK_C_ = 0;
    parameter _TECHMAP_CONSTVAL_C_ = 0;
    input  [WIDTH-1:0] A, B, C;
    output [WIDTH-1:0] X, Y;
    genvar i;
    generate
        for (i = 0; i < WIDTH; i = i + 1) begin : bits
            if (_TECHMAP_CONSTMSK_C_[i] && !_TECHMAP_CONSTVAL_C_[i])
                HAX1 half (.A(A[i]), .B(B[i]), .YC(X[i]), .YS(Y[i]));
            else
                FAX1 full (.A(A[i]), .B(B[i]), .C(C[i]), .YC(X[i]), .YS(Y[i]));
        end
    endgenerate
endmodule
