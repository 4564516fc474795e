# gnuplot -e "points='FILE'; output='FILE.svg'" picture.gp; blocks of `points`, one a network and format: place of the
# machine, what fp32 takes of computing alone, and of the step with memory, the machine's name, what bounds it.
set terminal svg size 1180,560 font "sans-serif,13" background "#ffffff"
set output output
networks = "ResNet-18 ResNet-50 MobileNetV2"
formats = "fp8 int8 e2m4 e2m1/b32 nvfp4"
colours = "#222222 #888888 #d95f02 #7570b3 #1b9e77"
set logscale y
set yrange [0.9:32]
set ytics (1, 2, 3, 4, 6, 8, 12, 16, 24)
set xrange [-0.5:*]
set offsets 0, 0.5, 0, 0
set xtics nomirror scale 0
set grid ytics lc "#dddddd"
set multiplot layout 1,3 title "What fp32 takes, as a multiple of the format: hollow, computing of the convolutions alone; filled, the whole step with memory"
do for [n = 1:3] {
  set title word(networks, n)
  if (n == 1) { set ylabel "times the format's energy" } else { unset ylabel }
  if (n == 3) { set key top right samplen 1 } else { unset key }
  plot for [f = 1:5] points index ((n - 1) * 5 + f - 1) using ($1 + (f - 3) * 0.15):2:(0):($3 - $2) with vectors nohead lc rgb word(colours, f) lw 1 notitle, \
       for [f = 1:5] points index ((n - 1) * 5 + f - 1) using ($1 + (f - 3) * 0.15):2 with points pt 6 ps 0.9 lc rgb word(colours, f) notitle, \
       for [f = 1:5] points index ((n - 1) * 5 + f - 1) using ($1 + (f - 3) * 0.15):3 with points pt 7 ps 0.9 lc rgb word(colours, f) title word(formats, f), \
       points index ((n - 1) * 5) using 1:(NaN):xtic(4) notitle
}
unset multiplot
