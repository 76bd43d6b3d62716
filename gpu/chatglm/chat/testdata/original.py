"""Python's own spelling, for TestPython: JSON in, JSON out.

stdin   [value, …]
stdout  [[the value in a list as ChatGLM3's scripts print tools,
          the value as the argument x of a tool call], …]
"""
import json
import sys

json.dump(
    [
        [
            json.dumps([value], indent=4, ensure_ascii=False),
            "```python\ntool_call(x=%r)\n```" % (value,),
        ]
        for value in json.load(sys.stdin)
    ],
    sys.stdout,
)
