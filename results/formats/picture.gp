# gnuplot -e "points='FILE'; front='FILE'; output='FILE.svg'; ylabel='TEXT'" picture.gp; lines of `points`: pJ, value, name, kind
# (0 MLS of whole planes, 1 blocks of MLS, 2 MX and NVFP4, 3 baselines), side of the name (0 above to the right, 1 to the
# left, 2 below). Those of the front are in `front`, by energy.
set terminal svg size 860,520 font "sans-serif,13" background "#ffffff"
set output output
set xlabel "all computing of a training step of ResNet-20, pJ a multiply-add (45 nm)"
set ylabel ylabel
set logscale x
set xtics (0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2, 3, 4, 5)
set xrange [0.19:6]
set offsets graph 0.02, graph 0.1, graph 0.06, graph 0.04
set grid lc "#dddddd"
set key bottom right
plot front using 1:2 with steps lc "#999999" dt 2 title "front", \
     points using ($4==0 ? $1 : NaN):2 with points pt 7 ps 0.9 lc "#d95f02" title "MLS, whole planes", \
     points using ($4==1 ? $1 : NaN):2 with points pt 5 ps 0.9 lc "#7570b3" title "MLS, blocks", \
     points using ($4==2 ? $1 : NaN):2 with points pt 9 ps 1.1 lc "#1b9e77" title "MX, NVFP4", \
     points using ($4==3 ? $1 : NaN):2 with points pt 13 ps 1.2 lc "#222222" title "baselines", \
     points using ($5==0 ? $1 : NaN):2:3 with labels left offset 0.7,0.4 font ",10" notitle, \
     points using ($5==1 ? $1 : NaN):2:3 with labels right offset -0.9,0 font ",10" notitle, \
     points using ($5==2 ? $1 : NaN):2:3 with labels left offset 0.7,-0.6 font ",10" notitle
