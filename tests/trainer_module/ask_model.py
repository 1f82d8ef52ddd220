"""Ask an exported model with TensorFlow and nothing else: `python -I ask_model.py MODEL REQUESTS ANSWERS`.

Requests are JSON: by name a signature, its argument, and values, text standing for base64. Answers are an `.npz` of
arrays named `<request>/<output>`.
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
answers = {}
for name, (signature, argument, values) in json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")).items():
    if signature == "evaluate":
        tensor = tf.constant([base64.b64decode(value) for value in values], tf.string)
    elif not values:
        tensor = tf.zeros([0, 3], tf.int64)
    else:
        tensor = tf.constant(np.array(values, np.int64))
    for output, answer in model.signatures[signature](**{argument: tensor}).items():
        answers[f"{name}/{output}"] = answer.numpy()
loaded = {module.partition(".")[0] for module in sys.modules}
assert not loaded & {"data", "serving", "trainer_module", "components", "pipeline", "tensorflow_transform", "tf_keras"}
np.savez(sys.argv[3], **answers)
