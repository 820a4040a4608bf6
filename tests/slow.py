"""Tests that the plain command leaves out, as each takes seconds: `python -m pytest -n 2 -m slow` runs them.

By name, with * for the rest of it. What stays sees every module, and of each family of cases some; of the families in
ROTATING the plain command takes every third case, others from session to session.
"""

import os
from fnmatch import fnmatchcase

LEFT_OUT = (
    # several devices or processes
    "test_eight_devices_give_the_numbers_of_one",
    "test_several_devices_give_the_numbers_of_one",
    "test_two_processes_give_the_same_bits",
    # what compiles reverse mode, one program a test
    "test_derivatives_nest_and_are_batched",
    "test_jit_equals_eager[[]message*",
    "test_memory_of_reverse_mode_grows_with_the_root_of_the_steps[[]8]",
    "test_memory_of_reverse_mode_grows_with_the_root_of_the_steps[[]1024]",
    "test_gradients_through_quantizers_are_finite[[]innovation*",
    "test_gradients_through_quantizers_are_finite[[]difference*",
    "test_second_derivatives_go_through_local_problems[[]TrackingADMM]",
    "test_straight_through_agrees_with_finite_differences[[]innovation*",
    "test_what_differs_between_runs_stays_with_its_start",
    "test_steps_are_admitted_that_all_problems_and_networks_stand",
    "test_both_halves_get_better_on_other_instances",
    "test_link_weights_from_several_starts",
    "test_steps_stay_below_a_bound_that_moves_with_the_other_settings",
    "test_phases_and_several_networks",
    "test_a_broken_start_is_told_and_left_out",
    "test_patience_stops_and_an_optimizer_of_ones_own_is_used",
    "test_what_went_bad_first_is_named_with_its_step",
    "test_a_start_beyond_what_is_proved_is_told_and_kept",
    "test_settings_without_a_useful_derivative_are_told",
    "test_what_has_no_effect_is_told",
    "test_the_error_is_0_at_the_optimum_only[[]1.5]",
    "test_phases_and_link_weights_are_written_and_run_again",
    "test_shares_move_as_the_unrolled_run_does[[]quadratic]",
    # every case of a family
    "test_without_compiling_the_numbers_are_the_same[[]dual_flow]",
    "test_bounds_without_an_end_are_no_infinities_to_debug",
    "test_methods_under_debugging[[]jax_debug_infs]",
    "test_sum_and_box_at_every_iteration[[]*-difference]",
    "test_sum_and_box_in_float32[[]*memoryless]",
    "test_budget_while_shares_grow_and_shrink[[]curvature]",
    "test_budget_while_shares_grow_and_shrink[[]multiplier]",
    "test_budget_while_shares_grow_and_shrink[[]uniform]",
    "test_budget_in_float64[[]momentum]",
    "test_a_diverging_run_leaves_the_others_alone[[]message]",
    "test_a_diverging_run_leaves_the_others_alone[[]innovation]",
    "test_our_flows[[]*-difference]",
    "test_our_flows[[]*-message]",
    "test_dual_flow_reaches_the_optimum_of_costs_whose_curvature_has_no_bound[[]*latency*",
    "test_costs_that_are_curved_everywhere_are_not*",
    "test_flat_stretches_are_warned_of[[]limit]",
    "test_flat_stretches_are_warned_of[[]memoryless]",
    "test_losses_without_a_reference_go_down[[]loss0*",
    "test_any_sweep_is_reported[[]two records]",
    "test_any_sweep_is_reported[[]labels, a single seed]",
    "test_stores_as_people_write_them[[]link*",
    "test_a_run_is_the_same_after_programs_are_gone",
    "test_a_small_run",
)
ROTATING = (
    "test_a_pair_of_rows",
    "test_sums_and_boxes",
    "test_float32_stays_float32",
    "test_auto_converges",
    "test_log_links",
    "test_main_channels",
    "test_other_channels",
    "test_parameters_move_as_finite_differences_say",
    "test_shares_move_as_finite_differences_say",
    "test_relabelled_nodes_give_the_relabelled_answer",
    "test_all_agree_to_rounding_in_float64",
    "test_bad_input_is_refused",
    "test_each_node_of_each_run_has_its_own_optimizer",
    "test_the_gradient_of_a_setting_adds_up_to_what_q_gains",
)
SLOW_FILES = {"test_bad_input_is_refused": "test_tuning_parameters.py"}  # quick elsewhere


def left_out(file: str, name: str, seen: dict[str, int]) -> bool:
    """Whether the plain command leaves a test out; seen: how many cases of each rotating family came before."""
    family = name.split("[", 1)[0]
    if family in ROTATING and file.endswith(SLOW_FILES.get(family, "")):
        seen[family] = seen.get(family, int(os.environ["JAXCOOPT_TEST_SEED"])) + 1
        return seen[family] % 3 != 0
    return any(fnmatchcase(name, pattern) for pattern in LEFT_OUT)
