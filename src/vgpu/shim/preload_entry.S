# dlsym and dlvsym of libbrim_preload.so; preload.h says what they answer. x86-64, System V.
#
# Both ask, by the name alone, where to go, and jump there with the stack as they found it: where it
# is the C library's own function, that sees who really asked, as RTLD_NEXT and RTLD_DEFAULT need.
# The last argument register holds who asked; the C library does not look at it.
	.text
	.globl dlsym
	.type dlsym, @function
	.p2align 4
dlsym:
	endbr64
	pushq %rdi
	pushq %rsi
	subq $8, %rsp
	movq %rsi, %rdi
	call brim_dlsym_route
	addq $8, %rsp
	popq %rsi
	popq %rdi
	movq (%rsp), %rdx
	jmp *%rax
	.size dlsym, .-dlsym
	.globl brim_dlsym
	.hidden brim_dlsym
	.set brim_dlsym, dlsym

	.globl dlvsym
	.type dlvsym, @function
	.p2align 4
dlvsym:
	endbr64
	pushq %rdi
	pushq %rsi
	pushq %rdx
	movq %rsi, %rdi
	call brim_dlvsym_route
	popq %rdx
	popq %rsi
	popq %rdi
	movq (%rsp), %rcx
	jmp *%rax
	.size dlvsym, .-dlvsym
	.globl brim_dlvsym
	.hidden brim_dlvsym
	.set brim_dlvsym, dlvsym

# void* brim_call_as(void* handle, const char* name, const char* version, void* function,
#                    const void* ret): calls `function` so that it sees `ret`, the address of a `ret`
# instruction of the asking library, as its return address. That instruction then returns to here.
# A shadow stack would not have that: where there is one, the call is a plain one, from here.
	.globl brim_call_as
	.hidden brim_call_as
	.type brim_call_as, @function
	.p2align 4
brim_call_as:
	endbr64
	xorl %eax, %eax
	rdsspq %rax
	testq %rax, %rax
	jnz .Lplain
	leaq .Lback(%rip), %rax
	pushq %rax
	pushq %r8
	jmp *%rcx
.Lback:
	ret
.Lplain:
	jmp *%rcx
	.size brim_call_as, .-brim_call_as

# Exported for the replacements, which look for it: that we are here.
	.section .rodata
	.globl brim_preload
	.type brim_preload, @object
	.size brim_preload, 1
brim_preload:
	.byte 1
	.section .note.GNU-stack,"",@progbits
