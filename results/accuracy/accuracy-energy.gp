# gnuplot -e "points='FILE'; output='FILE.svg'" accuracy-energy.gp; lines of `points`: mJ, percent, name, Ex (3: a baseline).
set terminal svg size 760,460 font "sans-serif,13" background "#ffffff"
set output output
set xlabel "energy of all computing in a training step of 128 images, mJ"
set ylabel "test accuracy after 10 epochs, %"
set logscale x
set xtics (3, 4, 5, 6, 7, 8, 10, 15, 20, 30, 50, 70)
set xrange [3.5:85]
# e0m1, at 62 %, would leave the others too close to each other.
set yrange [80.8:87]
set grid lc "#dddddd"
set key bottom right
plot points using ($4==0 ? $1 : NaN):2 with points pt 7 ps 0.8 lc "#d95f02" title "Ex = 0", \
     points using ($4==1 ? $1 : NaN):2 with points pt 5 ps 0.8 lc "#7570b3" title "Ex = 1", \
     points using ($4==2 ? $1 : NaN):2 with points pt 9 ps 1.0 lc "#1b9e77" title "Ex = 2", \
     points using ($4==3 ? $1 : NaN):2 with points pt 13 ps 1.2 lc "#222222" title "baselines", \
     points using ($4==0 && $2>82 ? $1 : NaN):2:3 with labels offset -2.6,0.7 font ",11" notitle, \
     points using ($4==0 && $2<82 ? $1 : NaN):2:3 with labels offset -2.6,-0.7 font ",11" notitle, \
     points using ($4==1 ? $1 : NaN):2:3 with labels offset -3.2,-0.1 font ",11" notitle, \
     points using ($4>=2 ? $1 : NaN):2:3 with labels offset 3.2,-0.4 font ",11" notitle
