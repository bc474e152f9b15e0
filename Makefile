# One line each; the recipes are short scripts that say what they do.
.PHONY: demo test bench lint format golden package clean
demo:    ; @examples/demo/run
test:    ; @tests/run
bench:   ; @bench/serve/run
lint:    ; @tests/lint
format:  ; @git ls-files 'src/*.h' 'src/*.cc' 'bench/*.cc' 'cmake/*.cc' | xargs clang-format-14 -i
golden:  ; @UPDATE_GOLDEN=1 ctest --test-dir build/dev -R "^(apps_test|metrics_test|golden_plan)$$" --output-on-failure
package: ; @deploy/package
clean:   ; rm -rf build
