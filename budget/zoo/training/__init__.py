"""Scripts that make the models that ship; they alone need TensorFlow, espeak-ng and SciPy.

``python -m budget.zoo.training all`` makes everything again.
"""
