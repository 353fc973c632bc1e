# SPDX-License-Identifier: MIT
# Descriptions (.wire) in a project built by GNU Make:
#
#	WIRE_FILES := disk.wire journal.wire
#	include wire.mk
#	CPPFLAGS += -I$(WIRE_OUT)
#	main.o: | $(WIRE_HEADERS)
#	prog: main.o $(WIRE_OBJECTS)
#
# Give each imported file its line in WIRE_FILES, too: each is compiled by itself. WIRE_OBJECTS has
# everything; leave $(WIRE_WALK_OBJECTS) out of the program if nobody prints. Compiling them is left to
# the project's own rule for %.o.
#
# A generated file is only written if its content changes. So that Make knows nevertheless that a
# description was compiled, NAME.wired stands for that; it also depends on what NAME.wire imports.
WIREC ?= wirec
WIREC_FLAGS ?=
WIRE_OUT ?= generated

wire_names := $(basename $(notdir $(WIRE_FILES)))
WIRE_HEADERS := $(patsubst %,$(WIRE_OUT)/%.h,$(wire_names))
WIRE_WALK_OBJECTS := $(patsubst %,$(WIRE_OUT)/%_walk.o,$(wire_names))
WIRE_OBJECTS := $(patsubst %,$(WIRE_OUT)/%.o,$(wire_names)) $(WIRE_WALK_OBJECTS)
WIRE_GENERATED := $(foreach name,$(wire_names),$(addprefix $(WIRE_OUT)/$(name),.h .c _walk.c))

# $(call wire_stamp,DESCRIPTION,STAMP,OUTPUTS)
define wire_stamp
$(2): $(1) $(wildcard $(WIREC)) $(if $(filter-out $(wildcard $(3)),$(3)),wire-outputs-are-missing)
	@mkdir -p $$(@D)
	$$(WIREC) $$(WIREC_FLAGS) -o $$(@D) --depfile $$@.d $$<
	@sed 's|^[^\#:]*:|$$@:|' $$@.d >$$@.dep
	@sed -e 's|^[^\#:]*:||' -e 's|\\$$$$||' $$@.d | tr ' ' '\n' | sed -n 's|..*|&:|p' >>$$@.dep
	@rm $$@.d
	@touch $$@
$(3): $(2) ;
-include $(2).dep
endef

$(foreach file,$(WIRE_FILES),$(eval $(call wire_stamp,$(file),$\
	$(WIRE_OUT)/$(basename $(notdir $(file))).wired,$\
	$(addprefix $(WIRE_OUT)/$(basename $(notdir $(file))),.h .c _walk.c))))

# Headers include those of what their description imports.
$(WIRE_OBJECTS): | $(WIRE_HEADERS)

.PHONY: wire-outputs-are-missing wire-clean
wire-clean:
	rm -f $(WIRE_GENERATED) $(WIRE_OBJECTS) $(WIRE_HEADERS:.h=.wired) $(WIRE_HEADERS:.h=.wired.dep)
