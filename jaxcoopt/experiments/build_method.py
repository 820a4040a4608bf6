"""From the `method` and `channel` tables to a co-optimizer."""

import optax

from jaxcoopt.channel import quantizers
from jaxcoopt.experiments import method_tables
from jaxcoopt.methods.co_optimizer import CoOptimizer
from jaxcoopt.methods.gradient_tracking import GradientTracking
from jaxcoopt.methods.laplacian_flow import LaplacianFlow
from jaxcoopt.problem.bounds import Penalty


def build_method(method: method_tables.Method, channel: method_tables.Channel) -> CoOptimizer:
    """Both halves over one channel."""
    return CoOptimizer(
        allocation=None if method.allocation is None else _flow(method.allocation),
        training=None if method.training is None else _tracking(method.training),
        channel=_channel(channel),
    )


def _flow(table: method_tables.LaplacianFlow) -> LaplacianFlow:
    bounds = Penalty(table.bounds.weight, table.bounds.sharpness, table.bounds.form)
    return LaplacianFlow(table.step, table.momentum, bounds)


def _tracking(table: method_tables.GradientTracking) -> GradientTracking:
    optimizer = None if table.optimizer is None else _optimizer(table.optimizer)
    return GradientTracking(table.step, optimizer, table.batch_size, table.order)


def _optimizer(table: method_tables.Sgd | method_tables.Adam) -> optax.GradientTransformation:
    match table:
        case method_tables.Sgd():
            return optax.sgd(table.learning_rate, table.momentum, table.nesterov)
        case method_tables.Adam():
            return optax.adam(table.learning_rate, table.b1, table.b2)


def _channel(table: method_tables.Channel) -> quantizers.Channel:
    match table:
        case method_tables.Ideal():
            return quantizers.Ideal()
        case method_tables.LogQuantizer():
            return quantizers.LogQuantizer(table.rho, table.bits, table.scale, table.placement)
        case method_tables.UniformQuantizer():
            return quantizers.UniformQuantizer(table.step, table.bits, table.placement)
        case method_tables.Sign():
            return quantizers.Sign(table.scale, table.placement)
        case method_tables.Clip():
            return quantizers.Clip(table.limit, table.placement)
