/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A boot sector that proves a disk: it reads sector 1, writes it to sector 2, reads that
 * back, compares, and says on the first serial port how it went. Firmware drives the disk
 * (INT 13h, extended read 42h and write 43h).
 */
        .code16
        .globl _start

        .set PORT, 0x3f8
        .set SOURCE, 0x8000
        .set COPY, 0xa000

_start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        cld
        movb    %dl, disk

        movb    $0x42, %ah
        movw    $SOURCE, %bx
        movw    $1, %cx
        call    transfer
        movb    $0x43, %ah
        movw    $SOURCE, %bx
        movw    $2, %cx
        call    transfer
        movb    $0x42, %ah
        movw    $COPY, %bx
        movw    $2, %cx
        call    transfer

        movw    $SOURCE, %si
        movw    $COPY, %di
        movw    $512, %cx
        repe cmpsb
        movw    $good, %si
        je      finish
fail:
        movw    $bad, %si
finish:
        movw    $PORT, %dx
1:      lodsb
        testb   %al, %al
        jz      2f
        outb    %al, %dx
        jmp     1b
2:      hlt
        jmp     2b

/* %ah: function, %bx: buffer, %cx: sector */
transfer:
        movw    %bx, address
        movw    %cx, sector
        xorb    %al, %al
        movb    disk, %dl
        movw    $packet, %si
        int     $0x13
        jc      fail
        ret

disk:   .byte   0
good:   .asciz  "GUEST boot-io ok\r\n"
bad:    .asciz  "GUEST boot-io bad\r\n"
        .balign 4
packet: .byte   16, 0
        .word   1
address: .word  0, 0
sector: .word   0, 0, 0, 0

        .org    510
        .word   0xaa55
