# SPDX-License-Identifier: GPL-2.0
# Time to set a range PRIVATE by the size of the range, from sizes.dat.
set terminal svg size 800,480 font "sans-serif,13"
set output "bench.svg"
set title "KVM\\_SET\\_MEMORY\\_ATTRIBUTES: time to set a range"
set xlabel "GiB"
set ylabel "microseconds"
set logscale xy
set xtics (1, 4, 16, 64, 256, 1024)
set key left center
set grid ytics
set datafile missing "-"
plot "sizes.dat" using 1:2 with linespoints lw 2 pt 7 title "base, in the kernel (emulated)", \
     "" using 1:3 with linespoints lw 2 pt 7 title "ranges, in the kernel (emulated)", \
     "" using 1:4 with linespoints lw 2 pt 6 title "an entry per page, user space (native)", \
     "" using 1:5 with linespoints lw 2 pt 6 title "maple tree, user space (native)", \
     "" using 1:6 with linespoints lw 2 pt 6 title "ranges, user space (native)"
