"""Tests that the plain command leaves out, as each takes seconds: `python -m pytest -n 2 -m slow` runs them.

By name, with * for the rest of it. What stays sees every module, and of each family of cases some; of the families in
ROTATING the plain command takes every third case, others from session to session. Those in LONG compile much and run
little, so that CI runs them apart, not optimised.
"""

import os
from fnmatch import fnmatchcase

LEFT_OUT = (
    # several devices or processes
    "test_eight_devices_give_the_numbers_of_one",
    "test_several_devices_give_the_numbers_of_one",
    "test_several_devices_have_the_links_of_one",
    "test_two_processes_give_the_same_bits",
    # what compiles reverse mode, one program a test
    "test_derivatives_nest_and_are_batched",
    "test_derivatives_go_through_runs_with_bursts",
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
    # a trial of 41 steps
    "test_auto_steps_are_found_over_bursts",
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
LONG = (
    "test_the_examples_of_the_docs_run",
    "test_a_first_solve_compiles_few_programs_and_the_next_none[[]both, laplacian]",
    "test_a_first_solve_compiles_few_programs_and_the_next_none[[]allocation]",
    "test_a_first_solve_compiles_few_programs_and_the_next_none[[]runs]",
    "test_a_first_solve_compiles_few_programs_and_the_next_none[[]tolerance]",
    "test_a_first_solve_compiles_few_programs_and_the_next_none[[]curvature*",
    "test_methods_under_debugging[[]jax_debug_nans]",
    "test_costs_and_references_under_debugging*",
    "test_without_compiling_memory_and_steps_are_the_same",
    "test_without_compiling_the_numbers_are_the_same[[]laplacian_flow]",
    "test_derivatives_sweep_and_tune_under_debugging",
    "test_nothing_is_counted_within_a_block",
    "test_auto_looks_at_the_half_s_own_channel",
    "test_auto_by_trial_inside_jit",
    "test_the_slope_of_the_free_numbers_is_that_of_finite_differences",
    "test_progress_is_shown_unless_it_is_declined",
    "test_a_step_may_be_left_to_the_library*",
    "test_killed_at_random_moments_and_started_again*",
    "test_several_devices_give_the_same_bits*",
    "test_budget_while_shares_grow_and_shrink[[]dual, no bounds]",
    "test_budget_while_shares_grow_and_shrink[[]momentum]",
    "test_budget_while_shares_grow_and_shrink[[]one bit]",
    "test_budget_where_a_penalty_is_large_beside_small_shares[[]momentum]",
    "test_budget_where_a_penalty_is_large_beside_small_shares[[]curvature]",
    "test_budget_where_shares_move_late[[]curvature]",
    "test_budget_in_float64[[]flow]",
    "test_sum_and_box_at_every_iteration[[]dual_flow_memoryless-innovation]",
    "test_sum_and_box_at_every_iteration[[]curvature_flow-innovation]",
    "test_sum_and_box_in_float32[[]curvature_flow]",
    "test_derivatives_where_a_side_of_the_box_is_open*",
    "test_records_do_not_depend_on_how_many_are_made_in_a_call",
    "test_a_run_that_cannot_fit_says_so_and_how_many_would",
    "test_eigenvalues_of_gradient_tracking",
    "test_the_budget_in_float32",
    "test_memory_of_reverse_mode_grows_with_the_root_of_the_steps[[]100]",
    "test_prices_pass_through_many_full_nodes_in_a_row[[]memoryless]",
    "test_training_without_an_optimum_still_runs",
    "test_curvatures_of_many_decades_over_links_that_are_seldom_up_are_warned_of[[]dual]",
    "test_a_bit_budget_goes_with_its_objective",
    "test_its_own_is_taken_rounded_and_in_part",
    "test_straight_through_has_the_right_size_on_differences",
    "test_auto_is_near_the_longest_step_that_works*",
    "test_auto_on_a_ring_with_the_default_penalty",
    "test_budget_while_shares_grow_and_shrink[[]dual]",
    "test_budget_where_shares_move_late*",
    "test_objects_and_what_is_compiled_in_make_groups",
    "test_without_compiling_the_numbers_are_the_same[[]curvature_flow]",
    "test_inside_jit_and_grad",
    "test_inside_jit",
    "test_untuned_is_of_the_settings_that_were_given",
    "test_dual_flow_reaches_the_optimum_of_costs_whose_curvature_has_no_bound*",
    "test_slopes_through_a_run",
    "test_slopes_of_phases",
    "test_the_error_is_0_at_the_optimum_only*",
    "test_flat_stretches_are_warned_of*",
    "test_costs_that_are_flat_all_over_are_refused_or_warned_of[[]memoryless]",
    "test_the_curvature_estimates_come_to_rest",
    "test_fewer_decades_other_methods_and_links_that_stay_are_not",
    "test_grad_under_jit_equals_grad",
    "test_intervals_of_ones_own",
    "test_losses_without_a_reference_go_down*",
    "test_what_was_found_is_told_where_it_cannot_be_written",
    "test_settings_in_the_folder_repeat_the_run",
    "test_parameters_move_as_the_unrolled_run_does*",
    "test_shares_move_as_the_unrolled_run_does*",
    "test_no_optimum_is_found_twice",
    "test_what_lies_in_an_object_can_be_swept_beside_it",
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
    "test_the_optimum_of_hard_costs",
    "test_auto_on_problems_that_are_hard_to_tell",
    "test_straight_through_agrees_with_finite_differences",
    "test_same_input_in_another_type",
    "test_shipped_experiments_run",
    "test_the_optimum_behind_full_nodes",
    "test_the_network_reaches_both_optima",
    "test_the_bound_of_flows_is_sharp",
    "test_any_sweep_is_reported",
    "test_notebook_runs",
)
SLOW_FILES = {"test_bad_input_is_refused": "test_tuning_parameters.py"}  # quick elsewhere


def left_out(file: str, name: str, seen: dict[str, int]) -> bool:
    """Whether the plain command leaves a test out; seen: how many cases of each rotating family came before."""
    family = name.split("[", 1)[0]
    if family in ROTATING and file.endswith(SLOW_FILES.get(family, "")):
        seen[family] = seen.get(family, int(os.environ["JAXCOOPT_TEST_SEED"])) + 1
        return seen[family] % 3 != 0
    return any(fnmatchcase(name, pattern) for pattern in LEFT_OUT) or is_long(name)


def is_long(name: str) -> bool:
    """Whether compiling is most of what a test does."""
    return any(fnmatchcase(name, pattern) for pattern in LONG)
