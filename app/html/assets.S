// The files of the HTML report, each ended by a zero.
    .section .rodata

    .globl mlsim_html_page
mlsim_html_page:
    .incbin "app/html/page.html"
    .byte 0

    .globl mlsim_html_style
mlsim_html_style:
    .incbin "app/html/page.css"
    .byte 0

    .globl mlsim_html_plots
mlsim_html_plots:
    .incbin "app/html/plots.js"
    .byte 0

    .globl mlsim_html_vega
mlsim_html_vega:
    .incbin "third_party/vega/vega.min.js"
    .byte 0

    .globl mlsim_html_vega_lite
mlsim_html_vega_lite:
    .incbin "third_party/vega/vega-lite.min.js"
    .byte 0

    .globl mlsim_html_vega_embed
mlsim_html_vega_embed:
    .incbin "third_party/vega/vega-embed.min.js"
    .byte 0

    .globl mlsim_html_licences
mlsim_html_licences:
    .incbin "third_party/vega/LICENSES.txt"
    .byte 0

    .section .note.GNU-stack, "", %progbits
