# gnuplot results/accuracy/curves.gp, from the repository's root
set terminal svg size 800,500 background "white"
set output "results/accuracy/curves.svg"
set xlabel "epoch"
set ylabel "test accuracy, %"
set key bottom right
set grid
f(n) = sprintf("< sed 's/.*\"epoch\":\\([0-9]*\\).*\"test_accuracy\":\\([0-9.]*\\).*/\\1 \\2/' results/accuracy/metrics/%s.jsonl", n)
plot [0:25] [40:95] for [n in "fp32-seed1 fp32-seed2 e2m4-seed1 e2m1-seed1 e2m1-seed2"] f(n) using 1:($2*100) with lines lw 2 title n
