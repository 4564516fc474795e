// The files of the HTML report, each ended by a zero.
    .section .rodata

    .globl kMlsimHtmlPage
kMlsimHtmlPage:
    .incbin "app/report/html/page.html"
    .byte 0

    .globl kMlsimHtmlStyle
kMlsimHtmlStyle:
    .incbin "app/report/html/page.css"
    .byte 0

    .globl kMlsimHtmlTables
kMlsimHtmlTables:
    .incbin "app/report/html/tables.js"
    .byte 0

    .globl kMlsimHtmlPlots
kMlsimHtmlPlots:
    .incbin "app/report/html/plots.js"
    .byte 0

    .globl kMlsimHtmlVega
kMlsimHtmlVega:
    .incbin "third_party/vega/vega.min.js"
    .byte 0

    .globl kMlsimHtmlVegaLite
kMlsimHtmlVegaLite:
    .incbin "third_party/vega/vega-lite.min.js"
    .byte 0

    .globl kMlsimHtmlVegaEmbed
kMlsimHtmlVegaEmbed:
    .incbin "third_party/vega/vega-embed.min.js"
    .byte 0

    .globl kMlsimHtmlLicences
kMlsimHtmlLicences:
    .incbin "third_party/vega/LICENSES.txt"
    .byte 0

    .section .note.GNU-stack, "", %progbits
