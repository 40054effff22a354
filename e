error: study s.yaml cannot be read: No such file or directory
